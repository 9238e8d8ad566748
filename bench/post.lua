-- Sends what BODIES holds, a line a request, again and again; the answers are to be good ones where 200 is EXPECTED, and refusals
-- elsewhere. Tells how long that took as one line of JSON.
local requests, next = {}, 0

function init()
    wrk.headers["Content-Type"] = "application/json"
    for body in io.lines(os.getenv("BODIES")) do
        table.insert(requests, wrk.format("POST", nil, nil, body))
    end
end

function request()
    next = next % #requests + 1
    return requests[next]
end

-- wrk counts statuses from 400 on by itself.
function done(summary, latency)
    local errors = summary.errors
    local unexpected = errors.status
    if os.getenv("EXPECTED") ~= "200" then
        unexpected = summary.requests - errors.status
    end
    local failed = errors.connect + errors.read + errors.write + errors.timeout + unexpected
    local form = '{"requests": %d, "seconds": %f, "failed": %d, "p50": %f, "p99": %f}\n'
    io.stderr:write(form:format(summary.requests, summary.duration / 1e6, failed, latency:percentile(50), latency:percentile(99)))
end
