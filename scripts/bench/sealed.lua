-- Sends requests that were sealed beforehand, each once, for wrk:
--
--     HEADERS=… wrk --threads 1 -s sealed.lua URL -- REQUESTS
--
-- REQUESTS is a file that scripts/bench/load writes: a path and a body a line. The last line of the output is for
-- scripts/bench/run to read.

local requests, sent, thread = {}, 0, nil

function setup(t)
   thread = t
end

function init(args)
   local headers = os.getenv("HEADERS")
   for line in io.lines(args[1]) do
      local path, body = line:match("^(%S+) (.*)$")
      requests[#requests + 1] = "POST " .. path .. " HTTP/1.1\r\nHost: bench\r\n" .. headers .. "Content-Length: " .. #body .. "\r\n\r\n" .. body
   end
end

-- After the last one it is sent again, which measures something else: the runner is told.
function request()
   sent = sent + 1
   short = sent > #requests
   return requests[math.min(sent, #requests)]
end

-- As call.lua, and whether the requests were too few.
function done(summary)
   local e = summary.errors
   io.write(string.format("bench %d %d %d %d %d %d %d\n", summary.requests, summary.duration, e.connect, e.read, e.write,
      e.timeout, e.status))
   if thread:get("short") then
      io.write("too few\n")
   end
end
