-- For Apache's mod_lua: 'Require ubf', and the proxy to the address that was checked. The location sets MATCH_HOST and
-- MATCH_PORT, and MATCH_URI for paths. See apache.conf.
local folder = debug.getinfo(1, 'S').source:match('^@(.*/)') or '/usr/share/ubf/portal/apache/'
local ask = dofile(folder .. 'ask.lua')

-- LuaAuthzProvider ubf .../ubf.lua ubf_authz
function ubf_authz(r)
  if not r.user then return apache2.AUTHZ_DENIED_NO_USER end
  local env = r.subprocess_env
  env['UBF_ADDRESS'] = ''
  local status, value, explain = ask(r.user, (env['MATCH_HOST'] or '') .. ':' .. (env['MATCH_PORT'] or ''))
  if status == 204 then
    env['UBF_ADDRESS'] = value
    return apache2.AUTHZ_GRANTED
  end
  env['UBF_REASON'] = value
  env['UBF_EXPLAIN'] = explain
  r.err_headers_out['UBF-Reason'] = value
  return apache2.AUTHZ_DENIED
end

-- LuaHookFixups .../ubf.lua ubf_proxy: never to the name that the browser wrote.
function ubf_proxy(r)
  local address = r.subprocess_env['UBF_ADDRESS']
  if not address or address == '' then return apache2.DECLINED end
  local upgrade = (r.headers_in['Upgrade'] or ''):lower() == 'websocket'
  -- As the browser sent it: r.uri is decoded.
  local uri = r.unparsed_uri
  local prefix = r.subprocess_env['UBF_PREFIX']
  if prefix then
    uri = uri:match('^' .. prefix .. '/[^/]+/%d+(/.*)$') or '/'
  end
  r.handler = 'proxy-server'
  r.proxyreq = apache2.PROXYREQ_REVERSE
  r.filename = 'proxy:' .. (upgrade and 'ws://' or 'http://') .. address .. uri
  return apache2.OK
end
