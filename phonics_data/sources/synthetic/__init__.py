"""Rendered alphabet songs with ground truth; the entry point is `phonics_data.sources.synthetic.render`.

* ``song_plan``: the script of a song; ``negatives``: scripts of videos without letters; ``word_list``: words and pictures.
* ``voice``: speech synthesis; ``timeline``: words placed on the beat, and the true segments; ``music``: the soundtrack.
* ``motion``: animation curves; ``sprites``, ``strokes``, ``layout``, ``scenes``: graphics; ``compose``: frames.
* ``captions``: caption files; ``site``: a web server for rendered songs.
"""
