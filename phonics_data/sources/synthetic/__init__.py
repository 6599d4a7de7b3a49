"""How a rendered song is made; `phonics_data.sources.synthetic.render` is the door.

``plan`` decides, ``voice`` speaks, ``timeline`` lays the words on the beat and says what is true, ``music`` and
``sound`` make the soundtrack, ``motion`` follows the sound, ``sprites``, ``strokes``, ``layout`` and ``scenes`` draw,
``compose`` makes frames of it, ``encode`` writes the mp4, ``captions`` writes what a video site would write beside it.
"""
