-- Sends what BODY holds, again and again, and tells how long that took as one line of JSON.
wrk.method = "POST"
wrk.body = os.getenv("BODY")
wrk.headers["Content-Type"] = "application/json"

function done(summary, latency)
    local errors = summary.errors
    local failed = errors.connect + errors.read + errors.write + errors.status + errors.timeout
    local form = '{"requests": %d, "seconds": %f, "failed": %d, "p50": %f, "p99": %f}\n'
    io.stderr:write(form:format(summary.requests, summary.duration / 1e6, failed, latency:percentile(50), latency:percentile(99)))
end
