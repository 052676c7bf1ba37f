"""What leaves the house."""

from deploy.bundle import ENGINE_FILE, BuiltEngine, BundleContent, is_bundle, remove_bundle, write_bundle

__all__ = ["ENGINE_FILE", "BuiltEngine", "BundleContent", "is_bundle", "remove_bundle", "write_bundle"]
