"""The parts of the stage `phonics_data.stages.shard.stage`: cut one video, pack the shards, describe the dataset."""
