import {AppError} from '../../schemas/errors.ts';
import type {ScriptSettings} from '../../schemas/script-settings.ts';
import type {ScriptOptions} from './script-options.ts';

/** A manifest is read with the whole set in view, so it wins over the script's own comments. */
export function withSettings(
  options: ScriptOptions,
  {timeout_ms, concurrency}: ScriptSettings,
): ScriptOptions {
  return {
    ...options,
    ...(timeout_ms === undefined ? {} : {timeoutMs: timeout_ms === 0 ? null : timeout_ms}),
    ...(concurrency === undefined ? {} : {concurrency}),
  };
}

/** Throws METHOD_NOT_ALLOWED with `details.allow`. HEAD is allowed with GET, OPTIONS always: the script answers it. */
export function refuseOtherMethods(method: string, {methods}: ScriptSettings): void {
  if (methods === undefined || method === 'OPTIONS') return;
  if (methods.some((allowed) => allowed === method || (allowed === 'GET' && method === 'HEAD'))) return;
  throw new AppError(
    'METHOD_NOT_ALLOWED',
    `This script takes ${methods.join(', ')} only: its manifest says so.`,
    {details: {allow: methods}},
  );
}
