"""Every system takes an array, an ImageSet or a folder."""

import numpy as np
import pytest
from odd_files import encoded, photo

from clustlib.errors import DataMissing
from clustlib.images import load_folder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    photos = tmp_path / "photos"
    photos.mkdir()
    for i in range(70):
        (photos / f"{i:02d}.png").write_bytes(encoded(photo(64, 64, i), "PNG"))
    return photos


def systems():
    from clustlib import DBC, JULE, DeepCluster, FCAEFeatures

    small = {"width": 0.05, "kernel": 5, "stride": 2}
    return {
        "jule": lambda: JULE(3, epochs=1, unrolling_rate=0.9),
        "dbc": lambda: DBC(3, features=FCAEFeatures(epochs=1, whiten=10, random_state=0), epochs=1, random_state=0),
        "deepcluster": lambda: DeepCluster(3, network_options=small, n_components=4, epochs=1, verbose=False),
    }


@pytest.mark.parametrize("name", ["jule", "dbc", "deepcluster"])
def test_a_folder_an_image_set_and_an_array_are_the_same(name, folder):
    make, data = systems()[name], load_folder(folder)
    # DeepCluster reads a folder file by file, in crops of their own: as many images as there are, not the same pixels
    others = () if name == "deepcluster" else (folder, str(folder))
    labels = [make().fit(given).labels_ for given in (data.images, data, *others)]
    if name == "deepcluster":
        assert len(make().fit(folder).labels_) == len(labels[0])
    assert all((found == labels[0]).all() for found in labels[1:])


def test_fcn_takes_them_too(folder):
    from clustlib import FCN

    data = load_folder(folder, 32)
    models = [FCN(weights="random", size=32, n_components=4, max_iter=2, random_state=0) for _ in range(3)]
    found = [model.fit(given).embedding_ for model, given in zip(models, (data.images, data, folder))]
    assert all(np.array_equal(one, found[0]) for one in found[1:])


def test_a_fitted_model_reads_a_folder_at_its_own_size(folder):
    model = systems()["jule"]().fit(load_folder(folder, 20))
    assert model.transform(folder).shape == (70, 160)


def test_a_folder_that_is_not_there_is_one_line(folder):
    with pytest.raises(DataMissing, match="nowhere"):
        systems()["jule"]().fit(folder / "nowhere")
