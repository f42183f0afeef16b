#!/bin/bash
# Two hosts' worth of addresses on one machine, by network namespaces: torchrun with --nnodes=2, and what the kernel counts.
#
#     sudo benchmarks/two_hosts.sh [RANKS OF EACH HOST]      # in an environment that has nmfnet and torchrun
#
# Trains digits by the command line, on two hosts and in one process, and prints the bytes that each host has sent and
# the relative difference between the weights.
set -e
ranks=${1:-2} folder=$(mktemp -d)
export OMP_NUM_THREADS=1
end() { for k in 1 2; do ip netns del "nmfnet$k" 2>/dev/null || true; done; rm -r "$folder"; }
trap end EXIT
for k in 1 2; do ip netns add "nmfnet$k"; done
ip link add nmf1 type veth peer name nmf2
for k in 1 2; do
    ip link set "nmf$k" netns "nmfnet$k"
    ip -n "nmfnet$k" addr add "10.77.0.$k/24" dev "nmf$k"
    ip -n "nmfnet$k" link set "nmf$k" up
    ip -n "nmfnet$k" link set lo up
done
train=(-m nmfnet train digits --hidden 200-100 --epochs 1 --seed 0)
for k in 1 2; do
    ip netns exec "nmfnet$k" env GLOO_SOCKET_IFNAME="nmf$k" torchrun --nnodes=2 --nproc-per-node="$ranks" \
        --node-rank=$((k - 1)) --master-addr=10.77.0.1 --master-port=29511 "${train[@]}" --out "$folder/hosts" &
    pids[k]=$!
done
for k in 1 2; do wait "${pids[k]}"; done
for k in 1 2; do
    echo "host $k sent $(ip netns exec "nmfnet$k" cat "/sys/class/net/nmf$k/statistics/tx_bytes") bytes"
done
python "${train[@]}" --out "$folder/one" >"$folder/log"
python - "$folder" <<'END'
import sys
from pathlib import Path
import numpy as np
import nmfnet
hosts, one = (nmfnet.load(Path(sys.argv[1], name, "model.safetensors")) for name in ("hosts", "one"))
norm = lambda pairs: sum(float((each.astype(float) ** 2).sum()) for each in pairs) ** 0.5
print("relative difference of weights", norm(a - b for a, b in zip(hosts.coefs_, one.coefs_)) / norm(one.coefs_))
END
