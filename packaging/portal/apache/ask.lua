-- ask(user, target): asks ubf-portal. Returns 204 and the address to connect to; or another status, the reason, and a
-- line that says why. Each Lua state keeps one connection. Takes luaposix (Debian: lua-posix).
local socket = require 'posix.sys.socket'
local unistd = require 'posix.unistd'

local PATH = os.getenv('UBF_PORTAL_SOCKET') or '/run/ubf/portal/http.sock'
local SECONDS = 2
local MOST = 16384
local kept

local function close()
  if kept then unistd.close(kept) end
  kept = nil
end

local function connect()
  local fd = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM, 0)
  if not fd then return nil end
  socket.setsockopt(fd, socket.SOL_SOCKET, socket.SO_RCVTIMEO, SECONDS, 0)
  socket.setsockopt(fd, socket.SOL_SOCKET, socket.SO_SNDTIMEO, SECONDS, 0)
  if not socket.connect(fd, { family = socket.AF_UNIX, path = PATH }) then
    unistd.close(fd)
    return nil
  end
  return fd
end

-- The head of the answer; nothing if the connection ended before it came. Its second value: nothing came at all.
local function exchange(request)
  local sent = 0
  while sent < #request do
    local count = socket.send(kept, request:sub(sent + 1))
    if not count or count <= 0 then return nil, true end
    sent = sent + count
  end
  local text = ''
  while #text < MOST do
    local piece = socket.recv(kept, 4096)
    if not piece then return nil, false end -- too late
    if #piece == 0 then return nil, text == '' end
    text = text .. piece
    if text:find('\r\n\r\n', 1, true) then return text end
  end
  return nil, false
end

local function fields_of(head)
  local fields = {}
  for name, value in head:gmatch('\r\n([%w-]+):[ \t]*([^\r\n]*)') do fields[name:lower()] = value end
  return fields
end

-- Nothing that could end a header's line. ubf-portal checks the rest.
local function is_plain(text)
  return type(text) == 'string' and #text > 0 and #text <= 300 and not text:find('[^!-~]')
end

return function(user, target)
  if not is_plain(user) then return 401, 'no-user', 'Nobody is logged in.' end
  if not is_plain(target) then return 403, 'malformed', 'The address of the page is wrong.' end
  local request = 'GET /v1/may HTTP/1.1\r\nHost: ubf\r\nUBF-User: ' .. user .. '\r\nUBF-Target: ' ..
    target .. '\r\n\r\n'
  local head, again
  if kept then
    head, again = exchange(request)
    if not head then close() end
  else
    again = true
  end
  -- A kept connection that ubf-portal has closed meanwhile says nothing about the question.
  if not head and again then
    kept = connect()
    if kept then head = exchange(request) end
    if not head then close() end
  end
  if not head then return 503, 'unavailable', 'The firewall does not answer.' end
  local status = tonumber(head:match('^HTTP/1%.1 (%d%d%d)'))
  local fields = fields_of(head)
  if (tonumber(fields['content-length'] or '0') or 1) ~= 0 or not head:find('\r\n\r\n$') then close() end
  if status == 204 and fields['ubf-address'] then return 204, fields['ubf-address'] end
  return status == 204 and 403 or status, fields['ubf-reason'] or 'unavailable',
    fields['ubf-explain'] or 'The firewall does not answer.'
end
