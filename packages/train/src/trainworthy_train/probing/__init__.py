"""The probe: a detector, trained in folds on a frozen backbone, judges the labels of images that it never saw."""
