"""The review: web pages on which a person confirms, moves, relabels, adds and drops segments, and chooses candidate videos.

* `state` is the segments of one video while they are reviewed, and their decisions.
* `store` reads the workspace and writes reviews.csv.
* `evidence` collects what the timeline shows; `app` has the pages, `serve` the server.
"""
