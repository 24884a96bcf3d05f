"""Storage commitment (PS3.4 J): taken on, judged by evidence, reported."""
