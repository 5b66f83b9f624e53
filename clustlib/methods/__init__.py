"""The four systems, scikit-learn style: ``fit(images)``, ``labels_``, ``embedding_``, ``history_``."""
