#!/usr/bin/env bash
# Made by: retro-gamer submit RUN_DIR --dry-run --format slurm
# Submit with sbatch. RUN_DIR, the game and the environment are on a file system that all nodes share.
#SBATCH --job-name=retro-gamer-snake
#SBATCH --nodes=2
#SBATCH --ntasks-per-node=1
#SBATCH --cpus-per-task=4
#SBATCH --signal=B:TERM@120
#SBATCH --output=%x-%j.out
set -euo pipefail

# Activate the environment with retro-gamer before sbatch, or name it in RETRO_GAMER_VENV.
if [[ -n "${RETRO_GAMER_VENV:-}" ]]; then
    # shellcheck disable=SC1091
    source "$RETRO_GAMER_VENV/bin/activate"
fi
run_dir=/shared/runs/snake

# A token for this job alone: nobody else on these nodes can join its cluster.
RAY_AUTH_TOKEN_PATH="$(mktemp "$HOME/.retro-gamer-token.XXXXXX")"
export RAY_AUTH_TOKEN_PATH RAY_AUTH_MODE=token RAY_USAGE_STATS_ENABLED=0
python -c 'import secrets; print(secrets.token_hex(32), end="")' >"$RAY_AUTH_TOKEN_PATH"
trap 'rm -f "$RAY_AUTH_TOKEN_PATH"' EXIT

mapfile -t nodes < <(scontrol show hostnames "$SLURM_JOB_NODELIST")
head_node="${nodes[0]}"
port=$((20000 + SLURM_JOB_ID % 20000))

# Start Ray on all nodes; it stops when the command on the first node ends.
srun --kill-on-bad-exit=1 \
    ray symmetric-run --address "$head_node:$port" --min-nodes "$SLURM_JOB_NUM_NODES" \
    --num-cpus "$SLURM_CPUS_PER_TASK" -- \
    retro-gamer train "$run_dir" --address auto --actors 6 --retries 3 &
training=$!
# Slurm sends SIGTERM to this script 120 seconds before the time limit; the run then writes a checkpoint.
trap 'kill -TERM "$training"' TERM
wait "$training" || wait "$training"
