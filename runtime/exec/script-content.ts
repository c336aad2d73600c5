import {AppError} from '../../schemas/errors.ts';

/**
 * Checks what is about to be written: scripts and JSON must parse. False for a kind of file that is written as
 * it is. Throws SCRIPT_INVALID with `details.validation`, or INVALID_JSON.
 */
export async function checkScriptContent(path: string, content: string): Promise<boolean> {
  if (path.endsWith('.json')) {
    try {
      JSON.parse(content);
      return true;
    } catch (error) {
      throw new AppError('INVALID_JSON', 'Invalid JSON', {cause: error});
    }
  }
  if (!/\.[jt]sx?$/.test(path)) return false;
  const {checkScript} = await import('../platform/script-check.ts');
  const validation = await checkScript({path, text: content});
  if (validation.length > 0)
    throw new AppError('SCRIPT_INVALID', 'Script validation failed', {details: {validation}});
  return true;
}
