"""The files of the sets that load on any machine, with their addresses and checksums.

The checksums of downloads are those that TensorFlow Datasets, scikit-learn, torchvision, DeepMind's NEVIS
benchmark or the set's own page publish; an MD5 stands where nobody publishes a SHA-256.
"""

from clustlib.datasets.description import DataFile

_MNIST = ("https://ossci-datasets.s3.amazonaws.com/mnist/", "https://storage.googleapis.com/cvdf-datasets/mnist/")
_FASHION = ("http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",)
_LIBSVM = "https://www.csie.ntu.edu.tw/~cjlin/libsvmtools/datasets/multiclass/"
_COIL20 = "databases/SLAM_coil-20_coil-100/coil-20/coil-20-proc.zip"
_PIE = "jwyang/JULE.torch/master/matlab/approaches/nmf-deep/Deep-Semi-NMF-master/data/PIE_pose27.mat"
_SCENES = "www-cvr.ai.uiuc.edu/ponce_grp/data/scene_categories/scene_categories.zip"


def _idx(folder: str, homes: tuple[str, ...], file: str, size: int, sha256: str, unpacked: str) -> DataFile:
    urls = tuple(home + file for home in homes)
    return DataFile(f"{folder}/{file}", sha256, size, urls, unpacked_sha256=unpacked)


MNIST = tuple(
    _idx("mnist", _MNIST, *pin)
    for pin in (
        (
            "train-images-idx3-ubyte.gz",
            9912422,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
            "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        ),
        (
            "train-labels-idx1-ubyte.gz",
            28881,
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
            "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        ),
        (
            "t10k-images-idx3-ubyte.gz",
            1648877,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
            "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        ),
        (
            "t10k-labels-idx1-ubyte.gz",
            4542,
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
            "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
        ),
    )
)

FASHION = tuple(
    _idx("fashion-mnist", _FASHION, *pin)
    for pin in (
        (
            "train-images-idx3-ubyte.gz",
            26421880,
            "3aede38d61863908ad78613f6a32ed271626dd12800ba2636569512369268a84",
            "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
        ),
        (
            "train-labels-idx1-ubyte.gz",
            29515,
            "a04f17134ac03560a47e3764e11b92fc97de4d1bfaf8ba1a3aa29af54cc90845",
            "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
        ),
        (
            "t10k-images-idx3-ubyte.gz",
            4422102,
            "346e55b948d973a97e58d2351dde16a484bd415d4595297633bb08f03db6a073",
            "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
        ),
        (
            "t10k-labels-idx1-ubyte.gz",
            5148,
            "67da17c76eaffca5446c3361aaab5c3cd6d1c2608764d35dfb1850b086bf8dd5",
            "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
        ),
    )
)

USPS_H5 = DataFile("usps/usps.h5", "734f88c541104a956d88be2c95d03b4a463ffd74ccc2ba9c80841fb98e3fcb36", 2913522)
USPS_LIBSVM = (
    DataFile("usps/usps.bz2", urls=(_LIBSVM + "usps.bz2",), md5="ec16c51db3855ca6c91edd34d0e9b197"),
    DataFile("usps/usps.t.bz2", urls=(_LIBSVM + "usps.t.bz2",), md5="8ea070ee2aca1ac39742fdd1ef5ed118"),
)

COIL20_NPZ = DataFile(
    "coil20/coil20_128.npz", "a688bed7e35716552f778401193abca6379feff1958769f1615fca3c1e446325", 12179121
)
COIL20_ZIP = DataFile(
    "coil20/coil-20-proc.zip",
    urls=("https://www.cs.columbia.edu/CAVE/" + _COIL20, "https://cave.cs.columbia.edu/old/" + _COIL20),
    md5="464dec76a6abfcd00e8de6cf1e7d0acc",
)

CMU_PIE = DataFile(
    "cmu_pie/PIE_pose27.mat",
    "035fdd73d5f4234d958b3c88f20bd8aae3871080246139896a23e61487134680",
    2583034,
    ("https://raw.githubusercontent.com/" + _PIE,),
)

UMIST = DataFile("umist/umist_28x23.npz")  # made by hand, so the loaded set is pinned instead of the file

OLIVETTI_NPZ = DataFile(
    "orl_olivetti/olivetti_64x64.npz", "6b0b281078073fbdb75e6276b22acc4615ff8e8c040fed61f044bec3b501cf5d", 1412973
)
OLIVETTI_MAT = DataFile(
    "orl_olivetti/olivettifaces.mat",
    "b612fb967f2dc77c9c62d3e1266e0c73d5fca46a4b8906c18e454d41af987794",
    urls=("https://ndownloader.figshare.com/files/5976027", "https://cs.nyu.edu/~roweis/data/olivettifaces.mat"),
)

CIFAR10_NPZ = DataFile(
    "cifar10/cifar10_test.npz", "2239f97664bcb0cac854efa90f0234356c2c32ca6c70da2e4d4108105500c26b", 28406672
)
CIFAR10_TRAIN_ZIP = DataFile(
    "cifar10/cifar10_train.zip", "db1d97e295438a1fc80ebc6ea1a1c56bd627cf900e10c0feb7dc09b6c8c9aece", 51841273
)
CIFAR10_BINARY = DataFile(
    "cifar10/cifar-10-binary.tar.gz",
    "c4a38c50a1bc5f3a1c5537f2155ab9d68f9f25eb1ed8d9ddda3db29a59bca1dd",
    170052171,
    ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
)

FLOWERS17_ZIP = DataFile(
    "flowers17/flowers17_224.zip", "f98cd4be14de329e9c178b37fde66d0db68cae695ba7a18ed30df84189b3aeeb", 23752868
)
FLOWERS17_TGZ = DataFile(
    "flowers17/17flowers.tgz",
    urls=("https://www.robots.ox.ac.uk/~vgg/data/flowers/17/17flowers.tgz",),
    md5="b59a65d8d1a99cd66944d474e1289eab",
)

SCENE15_ZIP = DataFile(
    "scene15/scene15_128.zip", "2612cbb33c298fdd8299d9fe83a508cbe26136aad7590e4a107532087a25e7e9", 25486886
)
SCENE15_OFFICIAL = DataFile(
    "scene15/scene_categories.zip",
    urls=(f"https://{_SCENES}", f"https://web.archive.org/web/20070829035029/http://{_SCENES}"),
    md5="58828019197b2ad0a7efb472e7a85c2a",
)

IMAGENETTE_TRAIN = DataFile(
    "imagenette/imagenette_train_64.zip", "5af862ccb6ea1f3d171d7dccf936cf0e7bae29070660a3a581d38665707903fd", 21553883
)
IMAGENETTE_VAL = DataFile(
    "imagenette/imagenette_val_160.zip", "f9a32e9b727fe2cee6729e89d6c8c5f572f38ce77de5c2709b28aa06e81cd90d", 33986598
)
IMAGENETTE_OFFICIAL = DataFile(
    "imagenette/imagenette2-160.tgz",
    "88daccb09b6fce93f45e6c09ddeb269cce705549e6bff322092a2a5a11489863",
    98948031,
    ("https://s3.amazonaws.com/fast-ai-imageclas/imagenette2-160.tgz",),
)
