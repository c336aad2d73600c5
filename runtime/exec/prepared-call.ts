import {AppError} from '../../schemas/errors.ts';
import type {SecretMask} from '../platform/secret-mask.ts';
import type {HostOrder, HostPool} from './host-pool.ts';
import type {KnownPath, ScriptSet} from './script-set.ts';
import {withSettings} from './script-settings.ts';

/** Where calls are sent: a deployment's scripts with one set of variables. */
export interface CallGround extends HostOrder {
  readonly set: ScriptSet;
  readonly pool: HostPool;
  readonly commit: string | null;
  /** Takes secrets out of what is kept of calls. */
  readonly mask: SecretMask;
}

/** Where a call goes. The ground is asked for again as long as no host has begun with the call. */
export interface Destination {
  /** Null before the first deployment. */
  readonly ground: () => CallGround | null;
  /** As the script sees it, still percent-encoded. */
  readonly path: string;
  /** Path and query. */
  readonly target: string;
}

/** Everything that is known of a call before it is sent anywhere. */
export interface PreparedCall extends KnownPath {
  readonly ground: CallGround;
  readonly destination: Destination;
}

/**
 * Finds the script of a path in the present deployment; one that comes meanwhile is looked at anew, since a call must
 * not bring a former generation back. Throws SCRIPT_NOT_FOUND, PATH_EXCLUDED, INVALID_QUERY.
 */
export function prepareCall(destination: Destination): PreparedCall | Promise<PreparedCall> {
  const ground = destination.ground();
  const led = ground?.set.knownPaths.get(destination.path);
  if (ground === null || led === undefined) return findCall(destination);
  const {route, script, pre, post} = led;
  return {ground, destination, route, script, pre, post};
}

async function findCall(destination: Destination): Promise<PreparedCall> {
  const {ground: present, path} = destination;
  for (;;) {
    const ground = present();
    const route = ground?.set.routes.find(path) ?? null;
    if (ground === null || route === null) throw notFound(path);
    try {
      const {set} = ground;
      const {pre: before, post: after} = set.neighbours(route.file);
      const script = await set.ready(route.file);
      const pre = before === null ? null : await set.ready(before);
      const post = after === null ? null : await set.ready(after);
      if (present()?.set !== ground.set) continue;
      if (!script.options.enabled) throw notFound(path);
      const options = withSettings(script.options, route.settings);
      const led = {route, script: {...script, options}, pre, post};
      set.knownPaths.remember(path, led);
      return {ground, destination, ...led};
    } catch (error) {
      // The files of a former deployment may be gone.
      if (present()?.set === ground.set) throw error;
    }
  }
}

/** Throws SCRIPT_FAILED with the place of the syntax error. */
export function refuseUnparsable({script, pre, post}: PreparedCall): void {
  for (const each of [pre, script, post]) {
    const issue = each?.compiled.issue ?? null;
    if (issue === null) continue;
    const {line, column, message} = issue;
    const details = {file: each?.ref.file, line, column};
    throw new AppError('SCRIPT_FAILED', `SyntaxError: ${message}`, {details});
  }
}

function notFound(path: string): AppError {
  return new AppError('SCRIPT_NOT_FOUND', `No script answers ${path}.`);
}
