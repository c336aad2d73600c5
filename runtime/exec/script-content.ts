import {AppError} from '../../schemas/errors.ts';
import type {ScriptInspector} from './script-inspector.ts';

/**
 * Checks what is about to be written: scripts and JSON must parse. False for a kind of file that is written as
 * it is. Throws SCRIPT_INVALID with `details.validation`, or INVALID_JSON.
 */
export async function checkScriptContent(
  path: string,
  content: string,
  {check}: Pick<ScriptInspector, 'check'>,
): Promise<boolean> {
  if (path.endsWith('.json')) {
    try {
      JSON.parse(content);
      return true;
    } catch (error) {
      throw new AppError('INVALID_JSON', 'Invalid JSON', {cause: error});
    }
  }
  if (!/\.[jt]sx?$/.test(path)) return false;
  const validation = await check({path, text: content});
  if (validation.length > 0)
    throw new AppError('SCRIPT_INVALID', 'Script validation failed', {details: {validation}});
  return true;
}
