"""What leaves the house."""

from deploy.bundle import BundleContent, is_bundle, remove_bundle, write_bundle

__all__ = ["BundleContent", "is_bundle", "remove_bundle", "write_bundle"]
