-- Sends the request bodies of the file BODIES in turn, and prints the result as JSON on stderr. If DELAY_MS is set, each connection waits
-- for a random time between requests, DELAY_MS on average.
local requests, sent, delay_ms = {}, 0, tonumber(os.getenv("DELAY_MS"))

function init()
    wrk.headers["Content-Type"] = "application/json"
    for body in io.lines(os.getenv("BODIES")) do
        table.insert(requests, wrk.format("POST", nil, nil, body))
    end
end

function request()
    sent = sent + 1
    return requests[sent % #requests + 1]
end

-- wrk waits between requests only if this function exists. Random delays spread the requests of the connections evenly.
if delay_ms then
    function delay()
        return math.random(0, 2 * delay_ms)
    end
end

function done(summary, latency)
    local errors = summary.errors
    local failed = errors.connect + errors.read + errors.write + errors.timeout + errors.status
    local json = '{"requests": %d, "seconds": %f, "failed": %d, "p50": %f, "p99": %f}\n'
    io.stderr:write(json:format(summary.requests, summary.duration / 1e6, failed, latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
