import {type Kit, kits} from '../schemas/control.ts';
import {hostName} from './host-guard.ts';

/** Who answers a request. `prefixed`: the path carries `/api/v1/<kit>`. */
export type Selection =
  | {readonly part: Kit; readonly prefixed: boolean; readonly byHost: boolean}
  | {readonly part: 'control' | 'health'};

/** `metrics` and `openapi` are of the whole runtime; cron is the kit that answers them. */
const cronPath =
  /^\/(?:crontab|preview|metrics|openapi\.(?:json|yaml)|users\/[^/]+\/(?:crontab|entries|runs|why)(?:\/.*)?)\/?$/;

/**
 * (a) the kit header or the host's label; (b) the prefix; (c) on a neutral host cron's exact routes, then
 * health, then exec for every other path. `path` is still percent-encoded; `kitHeader` is null unless believed.
 */
export function selectKit({
  host,
  kitHeader,
  path,
}: {
  host: string;
  kitHeader: string | null;
  path: string;
}): Selection {
  const prefix = kits.find((kit) => path === `/api/v1/${kit}` || path.startsWith(`/api/v1/${kit}/`));
  const named = kits.find((kit) => kit === kitHeader) ?? labelledKit(host);
  if (named !== undefined) return {part: named, prefixed: prefix === named, byHost: true};
  if (prefix !== undefined) return {part: prefix, prefixed: true, byHost: false};
  if (path === '/api/v1/control' || path.startsWith('/api/v1/control/')) return {part: 'control'};
  if (cronPath.test(path)) return {part: 'cron', prefixed: false, byHost: false};
  if (path === '/health' || path === '/healthz') return {part: 'health'};
  return {part: 'exec', prefixed: false, byHost: false};
}

/** `hoody-<kit>` alone; a first label that is a kit, or ends in `-<kit>-<n>` or `-pipe`. `n` is short for notifications. */
function labelledKit(host: string): Kit | undefined {
  const [label = '', ...rest] = (hostName(host) ?? '').split('.');
  const whole = rest.length === 0 ? /^hoody-([a-z]+)$/.exec(label)?.[1] : label;
  const named = /^.+-([a-z]+)-[a-z0-9]{1,64}$/.exec(label)?.[1] ?? /^.+-(pipe)$/.exec(label)?.[1];
  const name = named ?? whole;
  return name === 'n' ? 'notifications' : kits.find((kit) => kit === name);
}
