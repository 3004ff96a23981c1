"""The most that a model can give on one core: rows a second in batches, without any server.

`python serving_limit.py MODEL.onnx ROWS`.
"""

import json
import sys
import time

import numpy as np
import onnxruntime

options = onnxruntime.SessionOptions()
options.intra_op_num_threads = 1
options.inter_op_num_threads = 1
session = onnxruntime.InferenceSession(sys.argv[1], options, providers=["CPUExecutionProvider"])
given, rows = session.get_inputs()[0], int(sys.argv[2])
data = np.random.default_rng(0).normal(size=(rows, given.shape[1])).astype(np.float32)
for _ in range(20):
    session.run(None, {given.name: data})
begun, spent, count = time.perf_counter(), time.process_time(), 0
while time.perf_counter() - begun < 1.0:
    session.run(None, {given.name: data})
    count += rows
took, busy = time.perf_counter() - begun, time.process_time() - spent
print(json.dumps({"per_second": count / took, "cpu_us": 1e6 * busy / count}))
