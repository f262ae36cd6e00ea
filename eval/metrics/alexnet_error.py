"""AlexNet's published errors under corruptions, which CE and mCE are relative to."""

NUM_SEVERITIES = 5

#: AlexNet's top-1 error on the files of ImageNet-C, mean of the five severities, in percent
#: (easyrobust, benchmarks/ood/imagenet_c.py; equal to the lists in hendrycks/robustness #10).
ALEXNET_ERROR = {
    "gaussian_noise": 88.6428,
    "shot_noise": 89.4468,
    "impulse_noise": 92.2640,
    "defocus_blur": 81.9880,
    "glass_blur": 82.6268,
    "motion_blur": 78.5948,
    "zoom_blur": 79.8360,
    "snow": 86.6816,
    "frost": 82.6572,
    "fog": 81.9324,
    "brightness": 56.4592,
    "contrast": 85.3204,
    "elastic_transform": 64.6056,
    "pixelate": 71.7840,
    "jpeg_compression": 60.6500,
}

#: AlexNet's top-1 error on ImageNet's validation set, in percent.
ALEXNET_CLEAN_ERROR = 43.48
