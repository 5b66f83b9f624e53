"""DBC: discriminatively boosted image clustering (Li et al., 2017)."""
