from .coates import image_features as image_features
from .coates import random_patches as random_patches
from .filters import exciting_images as exciting_images
from .probes import linear_probes as linear_probes
from .retrieval import mean_average_precision as mean_average_precision
from .retrieval import rmac as rmac
from .svm import svm_accuracy as svm_accuracy
