"""What leaves the house."""

from deploy.bundle import BundleContent, write_bundle

__all__ = ["BundleContent", "write_bundle"]
