"""The same work by snnfp and by other packages, in one run."""
