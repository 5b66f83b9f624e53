"""Linear probes, retrieval and what filters respond to, against plain references and made-up files."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from clustlib.deepcluster.network import AlexNetSobel
from clustlib.errors import DataCorrupt, UsageError
from clustlib.kernels import pca_whiten
from clustlib.networks.crops import ArrayImages
from clustlib.transfer import crops, filters, probes, retrieval


def tiny() -> AlexNetSobel:
    torch.manual_seed(0)
    return AlexNetSobel(40, width=1 / 24, kernel=5, stride=2).eval()


def stripes(n: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Stripes across or along, in random phase: (n, 1, 46, 46) uint8, and which."""
    rng = np.random.default_rng(seed)
    which = rng.integers(2, size=n)
    waves = 127 + 120 * np.sin(np.arange(46) + rng.uniform(0, 6, (n, 1)))[:, None, None, :] * np.ones((n, 1, 46, 1))
    return np.where(which[:, None, None, None], waves.swapaxes(2, 3), waves).astype(np.uint8), which


class TestCrops:
    def test_ten_crops_are_corners_and_centre_with_their_mirror_images(self):
        images = np.random.default_rng(0).integers(0, 255, (2, 3, 64, 80), dtype=np.uint8)
        source = ArrayImages(images, None)
        found = crops.ten_crops(source, np.array([1, 0]))
        assert found.shape == (2, 10, 3, 56, 56)
        scaled = torch.from_numpy(images).float() / 255
        torch.testing.assert_close(found[0, 0], scaled[1, :, :56, :56], atol=1e-4, rtol=0)
        torch.testing.assert_close(found[0, 3], scaled[1, :, 8:, 24:], atol=1e-4, rtol=0)
        torch.testing.assert_close(found[1, 4], source.central(np.array([0]))[0][0], atol=1e-4, rtol=0)
        torch.testing.assert_close(found[:, 5:], found[:, :5].flip(4), atol=1e-4, rtol=0)

    def test_shifted_crops_stay_inside(self):
        source = ArrayImages(np.full((5, 1, 64, 70), 255, np.uint8), None)
        found = crops.shifted_crops(source, np.arange(5), np.random.default_rng(0))
        assert found.shape == (5, 1, 56, 56) and (found == 1).all()


class TestProbes:
    def test_they_learn_what_a_layer_holds(self):
        images, labels = stripes(60)
        test_images, test_labels = stripes(30, 1)
        found = probes.linear_probes(tiny(), images, labels, test_images, test_labels, size=40, epochs=4, batch_size=16)
        assert found.accuracy.shape == (5,) and (found.accuracy[:3] > 0.9).all()
        assert set(found.learning_rates) <= {0.01, 0.03, 0.1, 0.3}

    def test_the_network_is_not_touched(self):
        network, (images, labels) = tiny(), stripes(20)
        before = {k: v.clone() for k, v in network.state_dict().items()}
        probes.linear_probes(network, images, labels, images, labels, size=40, epochs=1)
        assert all(torch.equal(v, before[k]) for k, v in network.state_dict().items())

    def test_shuffled_labels_teach_nothing(self):
        images, _ = stripes(60)
        shuffled = np.random.default_rng(3).integers(2, size=60)
        test_images, test_labels = stripes(60, 1)
        found = probes.linear_probes(tiny(), images, shuffled, test_images, test_labels, size=40, epochs=2)
        assert (found.accuracy < 0.85).all()

    def test_maps_of_full_width_have_the_published_sizes(self):
        maps = probes.pooled_maps(AlexNetSobel().eval(), torch.rand(1, 3, 224, 224))
        assert [m.shape[1] for m in maps] == [9600, 9216, 9600, 9600, 9216]

    def test_bad_input(self):
        images, labels = stripes(10)
        with pytest.raises(UsageError, match="as many labels"):
            probes.linear_probes(tiny(), images, labels[:3], images, labels, size=40)
        with pytest.raises(UsageError, match="classes that the training images lack"):
            probes.linear_probes(tiny(), images, labels * 0, images, labels * 0 + 1, size=40)


def oxford(ranked: list[int], positives: set[int], junk: set[int]) -> float:
    """The published program's steps, on the list without junk."""
    kept = [i for i in ranked if i not in junk]
    old_recall, old_precision, area, hits = 0.0, 1.0, 0.0, 0
    for j, image in enumerate(kept):
        hits += image in positives
        recall, precision = hits / len(positives), hits / (j + 1)
        area += (recall - old_recall) * (old_precision + precision) / 2
        old_recall, old_precision = recall, precision
    return area


class TestRetrieval:
    @settings(max_examples=40, deadline=None)
    @given(st.permutations(range(12)), st.sets(st.integers(0, 5), min_size=1), st.sets(st.integers(6, 11)))
    def test_average_precision(self, ranked, positives, junk):
        assert retrieval.average_precision(ranked, positives, junk) == pytest.approx(oxford(ranked, positives, junk))

    def test_junk_is_passed_over(self):
        assert retrieval.average_precision([7, 1, 8, 2, 3], {1, 2}, {7, 8}) == 1
        assert retrieval.average_precision([3, 1], {1}, set()) == pytest.approx(0.25)
        with pytest.raises(UsageError, match="at least one positive"):
            retrieval.average_precision([1], set(), set())

    def test_regions_of_a_square_map_are_1_4_9_squares(self):
        grid = retrieval.region_grid(12, 12, 3)
        assert len(grid) == 14 and grid[0] == (0, 0, 12)
        assert {side for _, _, side in grid} == {12, 8, 6}
        assert all(top + side <= 12 and left + side <= 12 for top, left, side in grid)

    def test_a_long_map_has_more_along_its_length(self):
        grid = retrieval.region_grid(8, 20, 1)
        assert len(grid) > 1 and {top for top, _, _ in grid} == {0} and max(left for _, left, _ in grid) == 12
        assert [(b, a, s) for a, b, s in grid] == sorted(retrieval.region_grid(20, 8, 1), key=lambda r: r[0])

    def test_descriptors_have_unit_length_and_level_one_is_the_maximum(self):
        maps = torch.rand(3, 5, 9, 9)
        torch.testing.assert_close(retrieval.rmac(maps, 1), torch.nn.functional.normalize(maps.amax((2, 3))))
        whitening = pca_whiten([retrieval.region_vectors(maps).flatten(0, 1)], 4)
        found = retrieval.rmac(maps, 3, whitening)
        assert found.shape == (3, 4)
        torch.testing.assert_close(found.norm(dim=1), torch.ones(3))

    def test_classes_as_ground_truth(self):
        labels = np.repeat([0, 1], 10)
        queries = retrieval.class_queries(labels, 5)
        assert len(queries) == 10 and all(q.junk == {q.image} and len(q.positives) == 9 for q in queries)
        descriptors = np.eye(2)[labels]
        perfect = retrieval.mean_average_precision(descriptors, descriptors[[q.image for q in queries]], queries)
        assert perfect == pytest.approx(1)

    def test_the_published_layout(self, tmp_path):
        names = ["all_souls_000013", "all_souls_000026", "oxford_002985", "radcliffe_000102"]
        files = {
            "query": "oxc1_all_souls_000013 136.5 34.1 648.5 955.7",
            "good": names[1],
            "ok": names[2],
            "junk": names[3],
        }
        for kind, text in files.items():
            (tmp_path / f"all_souls_1_{kind}.txt").write_text(text + "\n", encoding="utf-8")
        (query,) = retrieval.read_ground_truth(tmp_path, names, prefix="oxc1_")
        assert query.image == 0 and query.box == (136.5, 34.1, 648.5, 955.7)
        assert query.positives == {1, 2} and query.junk == {3}
        with pytest.raises(DataCorrupt, match="oxc1_all_souls_000013"):
            retrieval.read_ground_truth(tmp_path, names)
        (tmp_path / "all_souls_1_ok.txt").unlink()
        with pytest.raises(DataCorrupt, match=r"all_souls_1_ok\.txt is missing"):
            retrieval.read_ground_truth(tmp_path, names, prefix="oxc1_")
        with pytest.raises(DataCorrupt, match=r"no \*_query\.txt"):
            retrieval.read_ground_truth(tmp_path / "elsewhere", names)


class TestFilters:
    def test_learnt_images_excite_their_filter_more_than_noise(self):
        network = tiny()
        chosen = [0, 2]
        learnt = filters.exciting_images(network, 0, chosen, size=40, steps=60)
        assert learnt.shape == (2, 3, 40, 40) and learnt.dtype == np.uint8
        noise = np.random.default_rng(0).normal(128, 20, (2, 3, 40, 40)).clip(0, 255).astype(np.uint8)
        with torch.no_grad():

            def odds(images):
                means = network.activations(torch.from_numpy(images).float() / 255)[0].mean((2, 3))
                return means.log_softmax(1)[range(2), chosen]

            assert (odds(learnt) > odds(noise)).all()

    def test_the_strongest_images_come_first(self):
        response = np.array([[0.1, 5], [0.9, 1], [0.5, 3]])
        assert filters.top_images(response, 2).tolist() == [[1, 2], [0, 2]]
        images, _ = stripes(7)
        found = filters.responses(tiny(), images, 1, size=40)
        assert found.shape == (7, round(256 / 24))

    def test_what_the_network_lacks(self):
        with pytest.raises(UsageError, match="stage must be an integer from 0 to 4"):
            filters.exciting_images(tiny(), 5, [0], size=40, steps=1)
        with pytest.raises(UsageError, match="stage 0 has 4 filters"):
            filters.exciting_images(tiny(), 0, [99], size=40, steps=1)
        for none in ([], [-1]):
            with pytest.raises(UsageError, match="filters must name one or more, from 0 on"):
                filters.exciting_images(tiny(), 0, none, size=40, steps=1)
        with pytest.raises(UsageError, match="stage must be an integer from 0 to 4"):
            filters.responses(tiny(), np.zeros((2, 3, 44, 44), np.uint8), 9, size=40)
