"""The rules, a module for each group and a small class for each rule."""
