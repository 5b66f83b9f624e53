"""The registered sets that the user supplies: too large to fetch unasked, under an agreement, or gone."""

from clustlib.datasets.description import DataFile, DatasetInfo, Layout

_VGG = "https://www.robots.ox.ac.uk/~vgg/data/"
_CROPPED = "Resized so that the short side is 224, then the middle 224x224; FCN's network takes 224x224."


def _folder(path: str) -> tuple[DataFile, ...]:
    return (DataFile(path, folder=True),)


def _streamed(
    name: str, title: str, n_samples: int, n_classes: int | None, *, stand_in: str | None = None, **text: str
) -> DatasetInfo:
    """A set that lies in the folder of its name and is read image by image."""
    texts = (text["source"], text["licence"], text["how"], text["differs"])
    layouts = (Layout("stream", _folder(name)),)
    return DatasetInfo(name, title, n_samples, n_classes, None, *texts, stand_in, layouts, supplied=True)


SETS = (
    DatasetInfo(
        name="usps-11000",
        title="USPS digits, 11,000",
        n_samples=11000,
        n_classes=10,
        shape=(1, 16, 16),
        source="S. Roweis's preparation, https://cs.nyu.edu/~roweis/data.html",
        licence="None stated; the data are public",
        how="Fetch usps_all.mat from https://cs.nyu.edu/~roweis/data.html: data is uint8 (256, 1100, 10), digits in "
        "the order 1 to 9, then 0.",
        differs="The set of JULE and DBC: 1,100 images a digit, raw contrast, not deslanted.",
        stand_in="usps",
        layouts=(Layout("usps-all", (DataFile("usps/usps_all.mat"),)),),
        supplied=True,
    ),
    DatasetInfo(
        name="coil-100",
        title="COIL-100",
        n_samples=7200,
        n_classes=100,
        shape=(3, 128, 128),
        source="Columbia University, https://www.cs.columbia.edu/CAVE/software/softlib/coil-100.php",
        licence="Research use",
        how="Fetch coil-100.zip (131 MB) from its page, or run `python -m clustlib.datasets fetch coil-100`; an "
        "unpacked folder of obj1__0.png to obj100__355.png will do.",
        differs="Not at all: 72 poses of each of 100 objects, sorted by object, then pose.",
        layouts=(
            Layout("coil", _folder("coil100/coil-100")),
            Layout(
                "coil",
                (
                    DataFile(
                        "coil100/coil-100.zip",
                        "fcb4b8b01c0778f416d8d7a09f45082c4f7075cc74743dcddd5c44307bd4afe7",
                        130688843,
                        (
                            "http://www.cs.columbia.edu/CAVE/databases/SLAM_coil-20_coil-100/coil-100/coil-100.zip",
                            "https://cave.cs.columbia.edu/old/databases/SLAM_coil-20_coil-100/coil-100/coil-100.zip",
                        ),
                    ),
                ),
            ),
        ),
        supplied=True,
    ),
    DatasetInfo(
        name="frgc",
        title="FRGC v2.0, 20 subjects",
        n_samples=2462,
        n_classes=20,
        shape=(3, 32, 32),
        source="University of Notre Dame, https://cvrl.nd.edu/projects/data/",
        licence="Signed agreement with the University of Notre Dame",
        how="Ask the University of Notre Dame (https://cvrl.nd.edu/projects/data/); crop the faces, resize them to "
        "32x32 and put them in one folder a subject, 20 folders.",
        differs="JULE drew its 20 subjects at random and published neither them nor the crops, so the number of "
        "images need not be 2,462.",
        layouts=(Layout("subjects", _folder("frgc")),),
        supplied=True,
        exact=False,
    ),
    DatasetInfo(
        name="ytf",
        title="YouTube Faces, 41 subjects",
        n_samples=10000,
        n_classes=41,
        shape=(3, 55, 55),
        source="L. Wolf, T. Hassner and I. Maoz, https://www.cs.tau.ac.il/~wolf/ytfaces/",
        licence="Research use, after registration",
        how="Ask at https://www.cs.tau.ac.il/~wolf/ytfaces/; crop the faces, resize them to 55x55 and put them in one "
        "folder a subject. The first 41 folders by name are read.",
        differs="JULE's 41 subjects are the first by name; which 10,000 of their frames it took, and the crops, are "
        "not published, so the number of images need not be 10,000.",
        layouts=(Layout("first-subjects", _folder("ytf")),),
        supplied=True,
        exact=False,
    ),
    DatasetInfo(
        name="lfw",
        title="Labeled Faces in the Wild",
        n_samples=13233,
        n_classes=5749,
        shape=(3, 250, 250),
        source="University of Massachusetts, http://vis-www.cs.umass.edu/lfw/",
        licence="Research use",
        how="Fetch lfw.tgz (181 MB) from its page, or run `python -m clustlib.datasets fetch lfw` (scikit-learn's "
        "mirror). JULE's verification also needs pairs.txt beside it.",
        differs="Not at all: one folder a person, sorted by name.",
        layouts=(
            Layout(
                "lfw",
                (
                    DataFile(
                        "lfw/lfw.tgz",
                        "055f7d9c632d7370e6fb4afc7468d40f970c34a80d4c6f50ffec63f5a8d536c0",
                        180566744,
                        ("https://ndownloader.figshare.com/files/5976018", "http://vis-www.cs.umass.edu/lfw/lfw.tgz"),
                    ),
                ),
            ),
        ),
        supplied=True,
    ),
    DatasetInfo(
        name="umist-112x92",
        title="UMIST faces, 112x92",
        n_samples=575,
        n_classes=20,
        shape=(1, 112, 92),
        source="University of Sheffield (then UMIST), https://www.sheffield.ac.uk/eee/research/iel/research/face; "
        "S. Roweis's copy, https://cs.nyu.edu/~roweis/data.html",
        licence="Research use",
        how="Fetch umist_cropped.mat from https://cs.nyu.edu/~roweis/data.html, or unpack the cropped set so that "
        "umist/umist_cropped holds the folders 1a to 1t of PGM files.",
        differs="The size that JULE clusters.",
        stand_in="umist",
        layouts=(
            Layout("umist-mat", (DataFile("umist/umist_cropped.mat"),)),
            Layout("umist", _folder("umist/umist_cropped")),
        ),
        supplied=True,
    ),
    DatasetInfo(
        name="flowers-102",
        title="Oxford Flowers-102",
        n_samples=8189,
        n_classes=102,
        shape=(3, 224, 224),
        source=f"Nilsback and Zisserman 2008, {_VGG}flowers/102/",
        licence="Research use",
        how="Fetch 102flowers.tgz (345 MB), imagelabels.mat and setid.mat from its page, or run "
        "`python -m clustlib.datasets fetch flowers-102`.",
        differs=f"{_CROPPED} Split: 1,020 train, 1,020 val, 6,149 test.",
        stand_in="flowers-17",
        layouts=(
            Layout(
                "flowers-102",
                (
                    DataFile(
                        "flowers102/102flowers.tgz",
                        "2d01ecc807db462958cfe3d92f57a8c252b4abd240eb955770201e45f783b246",
                        344862509,
                        (_VGG + "flowers/102/102flowers.tgz",),
                    ),
                    DataFile(
                        "flowers102/imagelabels.mat",
                        "4903e94206bac23bf772aadf06451916df56b58fc483a62db32a97b82656651d",
                        502,
                        (_VGG + "flowers/102/imagelabels.mat",),
                    ),
                    DataFile(
                        "flowers102/setid.mat",
                        "46b8678f91fd95d3c8f4feab80d271a6c834a1dd896fe29fd3e6ad9ce5c8dccd",
                        14989,
                        (_VGG + "flowers/102/setid.mat",),
                    ),
                ),
            ),
        ),
        supplied=True,
    ),
    DatasetInfo(
        name="cub-200",
        title="Caltech-UCSD Birds-200-2011",
        n_samples=11788,
        n_classes=200,
        shape=(3, 224, 224),
        source="California Institute of Technology, https://www.vision.caltech.edu/datasets/cub_200_2011/",
        licence="Non-commercial research and education",
        how="Fetch CUB_200_2011.tgz (1.2 GB) from its page, or run `python -m clustlib.datasets fetch cub-200`.",
        differs=f"{_CROPPED} Split: 5,994 train, 5,794 test.",
        layouts=(
            Layout(
                "cub-200",
                (
                    DataFile(
                        "cub200/CUB_200_2011.tgz",
                        urls=("https://data.caltech.edu/records/65de6-vp158/files/CUB_200_2011.tgz",),
                        md5="97eceeb196236b17998738112f37df78",
                    ),
                ),
            ),
        ),
        supplied=True,
    ),
    DatasetInfo(
        name="mit-67",
        title="MIT indoor scenes",
        n_samples=6700,
        n_classes=67,
        shape=(3, 224, 224),
        source="Quattoni and Torralba 2009, https://web.mit.edu/torralba/www/indoor.html",
        licence="Research use",
        how="Fetch indoorCVPR_09.tar (2.4 GB), TrainImages.txt and TestImages.txt from "
        "https://web.mit.edu/torralba/www/indoor.html.",
        differs=f"{_CROPPED} The official split's 6,700 of the 15,620 images: 5,360 train, 1,340 test.",
        stand_in="scene-15",
        layouts=(
            Layout(
                "mit-67",
                (
                    DataFile("mit67/indoorCVPR_09.tar"),
                    DataFile("mit67/TrainImages.txt"),
                    DataFile("mit67/TestImages.txt"),
                ),
            ),
        ),
        supplied=True,
    ),
    _streamed(
        "imagenet",
        "ImageNet (ILSVRC 2012)",
        1281167,
        1000,
        source="Stanford and Princeton, https://www.image-net.org/",
        licence="Registration; non-commercial research",
        how="Register at https://www.image-net.org/ and unpack ILSVRC 2012 to imagenet/train/<wnid>/*.JPEG and "
        "imagenet/val/<wnid>/*.JPEG.",
        differs="DeepCluster's training set.",
        stand_in="imagenette",
    ),
    _streamed(
        "yfcc100m",
        "YFCC100M",
        99171688,
        None,
        source="Thomee et al. 2016, https://multimediacommons.wordpress.com/",
        licence="Creative Commons, image by image",
        how="Follow https://multimediacommons.wordpress.com/yfcc100m-core-dataset/ and put a sample of the photos "
        "under yfcc100m/.",
        differs="DeepCluster trains on a random million of the photos; which ones is not published.",
        stand_in="imagenette",
    ),
    _streamed(
        "voc2007",
        "PASCAL VOC 2007",
        9963,
        20,
        source="Everingham et al., http://host.robots.ox.ac.uk/pascal/VOC/voc2007/",
        licence="Flickr terms; research use",
        how="Fetch the trainval and test archives from http://host.robots.ox.ac.uk/pascal/VOC/voc2007/ and unpack "
        "them to voc2007/VOCdevkit/VOC2007/.",
        differs="DeepCluster's classification and detection transfer.",
    ),
    _streamed(
        "voc2012",
        "PASCAL VOC 2012",
        17125,
        20,
        source="Everingham et al., http://host.robots.ox.ac.uk/pascal/VOC/voc2012/",
        licence="Flickr terms; research use",
        how="Fetch the trainval archive from http://host.robots.ox.ac.uk/pascal/VOC/voc2012/ and unpack it to "
        "voc2012/VOCdevkit/VOC2012/.",
        differs="DeepCluster's segmentation transfer.",
    ),
    _streamed(
        "places",
        "Places205",
        2448873,
        205,
        source="Zhou et al. 2014, http://places.csail.mit.edu/",
        licence="Registration; research and education",
        how="Register at http://places.csail.mit.edu/downloadData.html and unpack Places205 to places/train/<class>/ "
        "and places/val/<class>/.",
        differs="DeepCluster's linear probes.",
        stand_in="scene-15",
    ),
    _streamed(
        "oxford5k",
        "Oxford Buildings",
        5062,
        11,
        source=f"Philbin et al. 2007, {_VGG}oxbuildings/",
        licence="Flickr terms; research use",
        how=f"Fetch the images and ground truth from {_VGG}oxbuildings/ and unpack them to oxford5k/jpg/ and "
        "oxford5k/gt/.",
        differs="DeepCluster's instance retrieval: 11 landmarks, 55 queries.",
        stand_in="coil-20",
    ),
    _streamed(
        "paris6k",
        "Paris",
        6412,
        11,
        source=f"Philbin et al. 2008, {_VGG}parisbuildings/",
        licence="Flickr terms; research use",
        how=f"Fetch the images and ground truth from {_VGG}parisbuildings/ and unpack them to paris6k/jpg/ and "
        "paris6k/gt/.",
        differs="DeepCluster's instance retrieval: 55 queries.",
        stand_in="flowers-17",
    ),
)
