"""The race: a page on which the same answer comes three ways beside each other, and dies in the middle."""
