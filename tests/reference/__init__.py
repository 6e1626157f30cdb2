"""The equations of snnfp a second time, slow and plain."""
