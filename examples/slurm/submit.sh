#!/bin/bash
# Submit the missing parts of a stage to Slurm, and its gathering after them:
#
#   examples/slurm/submit.sh PARTS STAGE [OPTIONS OF phonics-data STAGE]
#   examples/slurm/submit.sh 100 transcribe --work /shared/work --ocr never
#
# The same command again submits what is missing: parts that failed, ran out of time, or were cancelled. A part whose node is lost is
# started again by Slurm itself. The gathering runs when all parts have ended well, in one job.
#
# Run it on a shared folder; it writes slurm/done/ (the finished parts) and slurm/logs/. Options of sbatch, such as a partition, come
# from its environment variables (SBATCH_PARTITION, SBATCH_ACCOUNT, SBATCH_TIMELIMIT). PHONICS_SLURM_CPUS: cores of a part, 2 by default.
set -euo pipefail

if [[ $# -lt 2 || ! $1 =~ ^[1-9][0-9]*$ ]]; then
    sed -n '2,12s/^# \{0,1\}//p' "$0" >&2
    exit 2
fi
parts=$1 stage=$2
shift 2
scripts=$(cd "$(dirname "$0")" && pwd)
# Other options are other results: the parts of both are not mixed up.
key=$stage-$(printf '%s\0' "$@" | cksum | cut -d' ' -f1)-of-$parts
mkdir -p slurm/done/"$key" slurm/logs

missing=()
for ((part = 1; part <= parts; part++)); do
    [[ -e slurm/done/$key/$part ]] || missing+=("$part")
done

after=()
if ((${#missing[@]})); then
    if ((${#missing[@]} == parts)); then list=1-$parts; else list=$(IFS=,; echo "${missing[*]}"); fi
    job=$(sbatch --parsable --array="$list" --cpus-per-task="${PHONICS_SLURM_CPUS:-2}" --job-name="$stage" --requeue \
        --output=slurm/logs/%x-%A-%a.log --open-mode=append "$scripts/part.sbatch" "$key" "$parts" "$stage" "$@")
    echo "parts of $stage: job $job, array $list"
    after=(--dependency="afterok:$job" --kill-on-invalid-dep=yes)
fi
job=$(sbatch --parsable "${after[@]}" --cpus-per-task="${PHONICS_SLURM_CPUS:-2}" --job-name="$stage-gather" \
    --output=slurm/logs/%x-%j.log "$scripts/gather.sbatch" "$key" "$stage" "$@")
echo "gathering of $stage: job $job"
