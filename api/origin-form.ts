import {AppError} from '../schemas/errors.ts';

/**
 * A proxy's client sends the whole address; whose it is stands in Host all the same. Throws AppError MALFORMED_REQUEST
 * for a target that is no path.
 */
export function originForm(target: string): string {
  if (target.startsWith('/')) return target;
  const origin = /^https?:\/\/[^/?#]*/i.exec(target)?.[0];
  if (origin === undefined) throw new AppError('MALFORMED_REQUEST', 'The target of the request is no path.');
  const rest = target.slice(origin.length);
  return rest.startsWith('/') ? rest : `/${rest}`;
}
