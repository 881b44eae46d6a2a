-- For Open OnDemand: the firewall is asked before OnDemand's own hook forwards to a node. In ood_portal.yml:
--
--   custom_location_directives:
--     - 'LuaHookFixups /usr/share/ubf/portal/apache/ondemand.lua ubf_ondemand'
--
-- These directives stand before OnDemand's own, and hooks run in the order of the file.
local folder = debug.getinfo(1, 'S').source:match('^@(.*/)') or '/usr/share/ubf/portal/apache/'
local ask = dofile(folder .. 'ask.lua')
-- First, or 'ood' is not found.
package.path = (os.getenv('OOD_LUA') or '/opt/ood/mod_ood_proxy/lib') .. '/?.lua;' .. package.path
local user_map = require 'ood.user_map'

function ubf_ondemand(r)
  local env = r.subprocess_env
  if not env['MATCH_HOST'] then return apache2.DECLINED end -- no node's location: nothing to ask
  -- The system's user, as OnDemand computes it. The name that logged in may be somebody else's on the nodes.
  local name = env['OOD_USER_ENV'] and env[env['OOD_USER_ENV']] or r.user
  local user = name and user_map.map(r, env['OOD_USER_MAP_MATCH'], env['OOD_USER_MAP_CMD'], name)
  local status, value, explain = ask(user or '', env['MATCH_HOST'] .. ':' .. (env['MATCH_PORT'] or ''))
  if status == 204 then return apache2.DECLINED end -- OnDemand's own hook goes on
  r.status = 403
  r.content_type = 'text/html; charset=utf-8'
  r.err_headers_out['UBF-Reason'] = value
  r.err_headers_out['Cache-Control'] = 'no-store'
  r:write('<!doctype html><html lang="en"><meta charset="utf-8"><title>This page is not open to you</title>' ..
    '<h1>This page is not open to you</h1><p>' .. r:escape_html(explain) .. '</p><p><small>ubf: ' ..
    r:escape_html(value) .. '</small></p></html>\n')
  return apache2.DONE
end
