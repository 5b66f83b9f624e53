"""VOC's layout on a made-up kit, its scores against plain references, the three tasks on tiny networks."""

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.io import savemat

from clustlib.deepcluster.network import AlexNetSobel
from clustlib.errors import DataCorrupt, UsageError
from clustlib.networks.convnet import smallest_side
from clustlib.networks.crops import ArrayImages, FolderImages, draw_uniforms, random_boxes
from clustlib.transfer import detection, fine_tuning, segmentation, voc

PARTS = {"trainval": ["000001", "000002", "000003"], "test": ["000004", "000005"]}


def tiny(size: int = 40) -> AlexNetSobel:
    torch.manual_seed(0)
    return AlexNetSobel(size, width=1 / 48, kernel=5, stride=2, dropout=0.0)


@pytest.fixture
def kit(tmp_path) -> voc.VocKit:
    return write_kit(tmp_path)


def write_kit(tmp_path: Path, times: int = 1) -> voc.VocKit:
    """Five images: each with a dog (a bright square), the odd ones with a difficult cat as well."""
    rng = np.random.default_rng(0)
    for name in ("ImageSets/Main", "ImageSets/Segmentation", "JPEGImages", "Annotations", "SegmentationClass"):
        (tmp_path / name).mkdir(parents=True)
    for part, ids in PARTS.items():
        (tmp_path / f"ImageSets/Main/{part}.txt").write_text("\n".join(ids) + "\n", encoding="utf-8")
        for c in voc.CLASSES:
            sign = {"dog": "1", "cat": "0"}.get(c, "-1")
            (tmp_path / f"ImageSets/Main/{c}_{part}.txt").write_text(
                "".join(f"{i} {sign:>2}\n" for i in ids), encoding="utf-8"
            )
    for part, ids in {"train": PARTS["trainval"][:2], "val": PARTS["test"]}.items():
        (tmp_path / f"ImageSets/Segmentation/{part}.txt").write_text("\n".join(ids) + "\n", encoding="utf-8")
    for name in [*PARTS["trainval"], *PARTS["test"]]:
        left, top = (int(n) for n in rng.integers(2, 20, 2))
        pixels = rng.integers(0, 60, (48, 60, 3), dtype=np.uint8)
        pixels[top : top + 24, left : left + 24] = 230
        Image.fromarray(np.kron(pixels, np.ones((times, times, 1), np.uint8))).save(tmp_path / f"JPEGImages/{name}.jpg")
        labels = np.zeros((48, 60), np.uint8)
        labels[top : top + 24, left : left + 24] = 12
        labels[0] = voc.VOID
        coloured = Image.fromarray(np.kron(labels, np.ones((times, times), np.uint8)), mode="P")
        coloured.putpalette(rng.integers(0, 255, 768).tolist())  # as VOC's: the index is the class
        coloured.save(tmp_path / f"SegmentationClass/{name}.png")
        ends = {"xmin": left, "ymin": top, "xmax": left + 24, "ymax": top + 24}
        box = "".join(f"<{n}>{at * times + (n[1:] == 'min')}</{n}>" for n, at in ends.items())
        objects = f"<object><name>dog</name><difficult>0</difficult><bndbox>{box}</bndbox></object>"
        cat = f"<object><name>cat</name><difficult>1</difficult><bndbox>{box}</bndbox></object>"
        (tmp_path / f"Annotations/{name}.xml").write_text(f"<annotation>{objects}{cat}</annotation>", encoding="utf-8")
    return voc.VocKit(tmp_path)


class TestLayout:
    def test_labels_objects_and_segmentations(self, kit):
        assert kit.ids("trainval") == PARTS["trainval"]
        labels = kit.labels("test")
        assert labels.shape == (2, 20) and (labels[:, voc.CLASSES.index("dog")] == 1).all()
        assert (labels[:, voc.CLASSES.index("cat")] == -1).all() and (labels.sum(1) == 0).all()
        objects = kit.objects("000001")
        assert objects.classes.tolist() == [voc.CLASSES.index("dog"), voc.CLASSES.index("cat")]
        assert objects.difficult.tolist() == [False, True]
        assert (objects.boxes[:, 2:] - objects.boxes[:, :2] == 23).all()
        assert set(np.unique(kit.segmentation("000001"))) == {0, 12, 255}
        assert kit.ids("train", "Segmentation") == ["000001", "000002"]
        assert [p.stem for p in kit.images(["000002", "000001"]).paths] == ["000002", "000001"]

    def test_what_is_missing_is_named(self, kit):
        with pytest.raises(DataCorrupt, match=r"val\.txt is missing"):
            kit.ids("val")
        with pytest.raises(DataCorrupt, match=r"JPEGImages lacks nothing\.jpg"):
            kit.images(["nothing"])
        with pytest.raises(DataCorrupt, match="cannot be read"):
            kit.objects("999999")
        (kit.folder / "Annotations/000001.xml").write_text(
            "<annotation><object><name>unicorn</name></object>", encoding="utf-8"
        )
        with pytest.raises(DataCorrupt, match="cannot be read"):
            kit.objects("000001")
        (kit.folder / "ImageSets/Main/dog_test.txt").write_text("000004 1\n", encoding="utf-8")
        with pytest.raises(DataCorrupt, match=r"dog_test\.txt"):
            kit.labels("test")

    def test_proposals(self, tmp_path):
        cells = np.empty((1, 2), object)
        cells[0, 0], cells[0, 1] = np.array([[1, 2, 30, 40]], float), np.zeros((0, 4))
        savemat(tmp_path / "boxes.mat", {"boxes": cells})
        first, second = detection.read_proposals(tmp_path / "boxes.mat")
        assert first.tolist() == [[1, 0, 39, 29]] and second.shape == (0, 4)
        (tmp_path / "boxes.mat").write_bytes(b"nothing")
        with pytest.raises(DataCorrupt, match="no selective-search boxes"):
            detection.read_proposals(tmp_path / "boxes.mat")


class TestScores:
    def test_eleven_points(self):
        # right, wrong, right: precision 1 up to a recall of 1/2, then 2/3
        found = voc.average_precision(np.array([3.0, 2.0, 1.0]), np.array([1, 0, 1]))
        assert found == pytest.approx((6 * 1 + 5 * 2 / 3) / 11)
        assert voc.average_precision(np.array([3.0, 2.5, 2.0, 1.0]), np.array([1, -1, 0, 1])) == pytest.approx(found)
        assert voc.average_precision(np.array([1.0, 2.0]), np.array([1, 0])) == pytest.approx(0.5)
        assert voc.average_precision(np.arange(10.0), np.array([1, 1, 1] + [0] * 7)[::-1]) == pytest.approx(1)
        assert np.isnan(voc.average_precision(np.array([1.0]), np.array([0])))

    def test_the_mean_leaves_out_classes_without_images(self):
        scores, truth = np.array([[1.0, 1], [0, 0]]), np.array([[1, 0], [0, 0]])
        assert voc.mean_average_precision(scores, truth) == 1
        with pytest.raises(UsageError, match="same shape"):
            voc.mean_average_precision(scores, truth[:1])

    def test_overlaps_count_both_ends(self):
        boxes = np.array([[0, 0, 9, 9], [100, 100, 101, 101]], np.float32)
        others = np.array([[0, 0, 9, 9], [0, 0, 9, 4], [10, 0, 19, 9]], np.float32)
        np.testing.assert_allclose(voc.overlaps(boxes, others), [[1, 0.5, 0], [0, 0, 0]])

    def test_detection(self):
        dog = voc.CLASSES.index("dog")
        truth = [
            voc.Objects(
                np.array([[0, 0, 9, 9], [20, 20, 29, 29]], np.float32), np.array([dog, dog]), np.array([False, True])
            )
        ]
        exact = voc.Detection(0, np.array([0.0, 0, 9, 9]), 0.9)
        again = voc.Detection(0, np.array([0.0, 0, 9, 8]), 0.8)
        hard = voc.Detection(0, np.array([20.0, 20, 29, 29]), 0.95)
        wide = voc.Detection(0, np.array([0.0, 0, 40, 40]), 0.99)
        assert voc.detection_precision([exact], truth, dog) == 1
        assert voc.detection_precision([exact, hard], truth, dog) == 1, "a difficult object counts neither way"
        assert voc.detection_precision([exact, again], truth, dog) == 1, "a second box comes after recall is complete"
        assert voc.detection_precision([wide, exact], truth, dog) == pytest.approx(0.5)
        assert voc.detection_precision([], truth, dog) == 0

    def test_intersection_over_union(self):
        truth = np.array([[0, 0, 1, voc.VOID]], np.uint8)
        assert voc.mean_intersection_over_union([np.array([[0, 0, 1, 1]], np.uint8)], [truth]) == 1
        found = voc.mean_intersection_over_union([np.array([[0, 1, 1, 1]], np.uint8)], [truth])
        assert found == pytest.approx((1 / 2 + 1 / 2) / 2)


class TestClassification:
    def images(self) -> tuple[ArrayImages, np.ndarray]:
        rng = np.random.default_rng(0)
        which = rng.integers(2, size=40)
        across = 127 + 120 * np.sin(np.arange(44) + rng.uniform(0, 6, (40, 1)))[:, None, None, :] * np.ones(
            (40, 1, 44, 1)
        )
        images = np.where(which[:, None, None, None], across.swapaxes(2, 3), across)
        return ArrayImages(images.astype(np.uint8), 40), np.eye(2, dtype=np.int8)[which]

    def test_it_learns_two_textures(self):
        source, truth = self.images()
        how = {"layers": "all", "steps": 40, "learning_rate": 0.05, "statistics": "of the batches"}
        network = fine_tuning.fine_tune(tiny(), source, truth, **how)
        assert voc.mean_average_precision(fine_tuning.class_scores(network, source, crops=3), truth) > 0.9

    @pytest.mark.parametrize(("layers", "norm"), [("fc68", "frozen"), ("fc68", "trained"), ("all", "trained")])
    def test_only_what_is_asked_for_changes(self, layers, norm):
        source, truth = self.images()
        network = tiny()
        before = {k: v.clone() for k, v in network.state_dict().items()}
        fine_tuning.fine_tune(network, source, truth, layers=layers, batch_norm=norm, steps=2)
        changed = {k for k, v in network.state_dict().items() if k in before and not torch.equal(v, before[k])}
        assert "classifier.1.weight" in changed
        assert ("features.0.weight" in changed) == (layers == "all")
        assert ("features.1.weight" in changed) == (layers == "all" or norm == "trained")
        assert "features.1.running_mean" not in changed

    def test_statistics_of_the_batches_and_layers_that_go_on(self):
        source, truth = self.images()
        network, plain = tiny(), tiny()
        before = network.features[1].running_mean.clone()
        kept = {"layers": "all", "steps": 1, "learning_rate": 1e-6}
        fine_tuning.fine_tune(network, source, truth, statistics="of the batches", fresh=False, **kept)
        assert not torch.equal(network.features[1].running_mean, before)
        torch.testing.assert_close(network.classifier[1].weight, plain.classifier[1].weight, atol=1e-3, rtol=0)
        anew = fine_tuning.fine_tune(tiny(), source, truth, **kept).classifier[1].weight
        assert (anew - plain.classifier[1].weight).abs().mean() > 0.5 * anew.abs().mean(), "drawn anew"
        assert anew.std().item() == pytest.approx(plain.classifier[1].weight.std().item(), rel=0.1)

    def test_crops_take_the_asked_share_of_the_area(self):
        uniforms = fine_tuning.scaled(draw_uniforms(400, np.random.default_rng(0)))
        boxes = random_boxes(uniforms.boxes, np.full(400, 200), np.full(400, 200))
        share = boxes[:, 2] * boxes[:, 3] / 200**2
        assert 0.09 < share.min() < 0.15 and 0.45 < share.max() < 0.52
        assert (boxes[:, 2] == boxes[:, 3]).all(), "square, as the port's"
        drawn = draw_uniforms(400, np.random.default_rng(0))
        stretched = random_boxes(fine_tuning.scaled(drawn, shape="stretched").boxes, *np.full((2, 400), 200))
        ratio = stretched[:, 3] / stretched[:, 2]
        assert ratio.min() < 0.8 and ratio.max() > 1.25
        with pytest.raises(UsageError, match="shape must be"):
            fine_tuning.scaled(drawn, shape="round")

    def test_on_the_kit(self, kit):
        ids = kit.ids("trainval")
        source = FolderImages(kit.images(ids), 40)
        network = fine_tuning.fine_tune(tiny(), source, kit.labels("trainval"), steps=2)
        assert fine_tuning.class_scores(network, source, crops=2).shape == (3, 20)

    def test_bad_settings(self):
        with pytest.raises(UsageError, match="layers must be"):
            fine_tuning.trained_parameters(tiny(), "conv", "frozen")
        source, truth = self.images()
        for wrong in (truth * 5, truth.astype(float) + np.nan):
            with pytest.raises(UsageError, match="truth must hold"):
                fine_tuning.fine_tune(tiny(), source, wrong, steps=1)
        for device in ("zz", "cuda:99"):
            with pytest.raises(UsageError, match="device"):
                fine_tuning.fine_tune(tiny(), source, truth, steps=1, device=device)


class TestDetection:
    def test_deltas_go_there_and_back(self):
        rng = np.random.default_rng(0)
        boxes = np.sort(rng.uniform(0, 100, (20, 2, 2)), axis=1).reshape(20, 4)
        targets = np.sort(rng.uniform(0, 100, (20, 2, 2)), axis=1).reshape(20, 4)
        np.testing.assert_allclose(detection.decode(boxes, detection.encode(boxes, targets)), targets, atol=1e-3)

    def test_suppression_keeps_the_best_of_each_place(self):
        boxes = np.array([[0, 0, 9, 9], [1, 0, 10, 9], [50, 50, 59, 59]], float)
        assert detection.suppress(boxes, np.array([0.5, 0.9, 0.1])).tolist() == [1, 2]

    def test_regions_are_a_quarter_foreground_at_most(self):
        objects = voc.Objects(np.array([[10, 10, 39, 39]], np.float32), np.array([3]), np.array([False]))
        rng = np.random.default_rng(0)
        corners = rng.integers(0, 30, (300, 2))
        proposals = np.concatenate([corners, corners + 29], axis=1).astype(np.float32)
        chosen = detection.sample_regions(proposals, objects, 40, rng)
        cover = voc.overlaps(chosen.boxes, objects.boxes)[:, 0]
        assert (chosen.classes > 0).sum() == 10 and (cover[chosen.classes > 0] >= 0.5).all()
        assert (chosen.classes[chosen.classes > 0] == 4).all() and (cover[chosen.classes == 0] < 0.5).all()

    def test_it_finds_bright_squares(self, kit):
        ids = PARTS["trainval"] + PARTS["test"]
        truth = [kit.objects(i) for i in ids]
        rng = np.random.default_rng(0)
        corners = rng.integers(0, 24, (60, 2)).astype(np.float32)
        proposals = [np.concatenate([corners, corners + 23], axis=1)] * len(ids)
        settings = {"steps": 50, "learning_rate": 0.005, "regions": 32, "short": 48}
        network = tiny().train()
        network.activations(torch.cat([detection.prepare(kit.images(ids), i, 48)[0] for i in range(len(ids))]))
        detector = detection.train_detector(network, kit.images(ids), truth, proposals, **settings)
        found = detection.detect(detector, kit.images(ids), proposals, short=48)
        dog = voc.CLASSES.index("dog")
        assert voc.detection_precision(found[dog], truth, dog) > 0.4
        assert not found[voc.CLASSES.index("boat")]

    def test_a_mirrored_image_has_mirrored_boxes_and_deltas(self):
        rng = np.random.default_rng(0)
        boxes, targets = (np.sort(rng.uniform(0, 90, (2, 20, 2, 2)), axis=2)).reshape(2, 20, 4)
        seen = [detection._mirrored(b, 100) for b in (boxes, targets)]
        np.testing.assert_allclose(detection._mirrored(seen[0], 100), boxes)
        np.testing.assert_allclose(
            detection.encode(*seen), detection.encode(boxes, targets) * detection.IN_A_MIRROR, atol=1e-5
        )
        image = torch.zeros(1, 1, 100, 100)
        image[..., 30:40] = 1
        assert image.flip(3)[0, 0, 0].nonzero().ravel()[[0, -1]].tolist() == [60, 69]
        assert detection._mirrored(np.array([[30, 0, 39, 9]]), 100).tolist() == [[60, 0, 69, 9]]

    def test_deltas_are_learnt_in_units_of_their_class(self):
        rng, dog = np.random.default_rng(0), 11
        truth = [voc.Objects(np.array([[20, 20, 59, 59]], np.float32), np.array([dog]), np.array([False]))] * 3
        proposals = [(truth[0].boxes + rng.normal(0, 4, (50, 4))).astype(np.float32) for _ in truth]
        mean, spread = detection.spread_of_deltas(truth, proposals, mirror=True)
        known = np.concatenate([detection.encode(p, np.repeat(truth[0].boxes, 50, 0)) for p in proposals])
        known = known[np.concatenate([voc.overlaps(p, truth[0].boxes)[:, 0] for p in proposals]) >= 0.5]
        known = np.concatenate([known, np.zeros((3, 4), np.float32)])  # the object's own box is a region, too
        both = np.concatenate([known, known * detection.IN_A_MIRROR])
        np.testing.assert_allclose(mean[dog + 1], both.mean(0), atol=1e-6)
        np.testing.assert_allclose(spread[dog + 1], both.std(0), atol=1e-6)
        assert mean[dog + 1, 0] == pytest.approx(0, abs=1e-6) and (np.delete(spread, dog + 1, 0) == 1).all()
        detector, hidden = detection.FastRCNN(tiny()), torch.rand(5, tiny().n_features)
        torch.nn.init.normal_(detector.deltas.weight)
        learnt = detector.deltas(hidden).view(5, -1, 4)
        detector.unnormalise(mean, spread)
        torch.testing.assert_close(
            detector.deltas(hidden).view(5, -1, 4),
            learnt * torch.from_numpy(spread) + torch.from_numpy(mean),
            check_dtype=False,
            atol=1e-5,
            rtol=1e-5,
        )

    def test_images_without_regions(self, kit):
        folder, truth = kit.images(PARTS["trainval"]), [kit.objects(i) for i in PARTS["trainval"]]
        none = np.zeros((0, 4), np.float32)
        some = [np.array([[1, 1, 30, 30]], np.float32), none, none]
        detector = detection.train_detector(tiny(), folder, truth, some, steps=3, regions=4, short=48, device="auto")
        found = detection.detect(detector, folder, some, short=48, threshold=0.0, device="auto")
        assert {d.image for of in found for d in of} == {0}
        bare = [voc.Objects(none, np.zeros(0, np.int64), np.zeros(0, bool))] * 3
        with pytest.raises(UsageError, match="no image has a region"):
            detection.train_detector(tiny(), folder, bare, [none] * 3)

    def test_as_many_of_each(self, kit):
        with pytest.raises(UsageError, match="3 images, 0 sets of objects"):
            detection.train_detector(tiny(), kit.images(PARTS["trainval"]), [], [])


class TestSegmentation:
    def test_slid_layers_are_the_classifier_where_it_was_trained(self):
        network = tiny().eval()
        images = torch.rand(2, 3, 40, 40)
        maps = network.convolve(images)
        side = maps.shape[-1]
        centre = segmentation._slid(network.classifier[1], maps)[:, :, (side - 1) // 2, (side - 1) // 2]
        torch.testing.assert_close(centre, network.classifier[1](maps.flatten(1)), atol=1e-4, rtol=1e-4)

    def test_it_finds_bright_squares(self, kit):
        ids = PARTS["trainval"]
        folder, truth = kit.images(ids), [kit.segmentation(i) for i in ids]
        network = tiny()
        segmenter = segmentation.train_segmenter(network, folder, truth, steps=60, learning_rate=0.01)
        found = segmentation.segment(segmenter, folder)
        assert [f.shape for f in found] == [t.shape for t in truth]
        assert set(np.unique(np.stack(found))) <= {0, 12}
        constant = [np.zeros_like(t) for t in truth]
        score = voc.mean_intersection_over_union
        assert score(found, truth) >= score(constant, truth)

    def test_an_image_that_nothing_is_left_of_is_one_line(self):
        network = tiny()
        least = smallest_side(list(network.features))
        assert network.convolve(torch.zeros(1, 3, least, 90)).numel()
        for of in (network.convolve, network.activations):
            with pytest.raises(UsageError, match="of 3 x 90 pixels are too small: this network needs"):
                of(torch.zeros(1, 3, 3, 90))
        with pytest.raises(RuntimeError):
            network.features(network.front(torch.zeros(1, 3, least - 1, 90)))

    def test_sizes_must_agree(self, kit):
        folder = kit.images(["000001"])
        with pytest.raises(DataCorrupt, match="pixels, its segmentation"):
            segmentation.read_pair(folder, 0, np.zeros((5, 5), np.uint8))
        with pytest.raises(UsageError, match="1 images, 0 segmentations"):
            segmentation.train_segmenter(tiny(), folder, [])
