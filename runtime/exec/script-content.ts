import {AppError} from '../../schemas/errors.ts';
import type {WrittenScript} from '../../schemas/exec-scripts.ts';
import type {Validation} from './validation.ts';

type Checked = Pick<WrittenScript, 'validated' | 'warnings' | 'typecheck'>;

/**
 * Checks what is about to be written: scripts and JSON must parse, and have no wrong types where that is asked for and
 * can be told. Files of other kinds are written as they are. Throws SCRIPT_INVALID with `details.validation`, or
 * INVALID_JSON.
 */
export async function checkScriptContent(
  path: string,
  content: string,
  {
    validation,
    typecheck,
  }: {validation: Pick<Validation, 'syntax' | 'warnings' | 'types'>; typecheck: boolean},
): Promise<Checked> {
  if (path.endsWith('.json')) {
    try {
      JSON.parse(content);
      return {validated: true, warnings: []};
    } catch (error) {
      throw new AppError('INVALID_JSON', 'Invalid JSON', {cause: error});
    }
  }
  if (!/\.[jt]sx?$/.test(path)) return {validated: false, warnings: []};
  const script = {path, code: content};
  const {errors} = await validation.syntax(script);
  const types = typecheck && errors.length === 0 ? await validation.types(script) : null;
  const wrong = [...errors, ...(types?.errors ?? [])];
  if (wrong.length > 0)
    throw new AppError('SCRIPT_INVALID', 'Script validation failed', {details: {validation: wrong}});
  const warnings = await validation.warnings(script);
  return {validated: true, warnings, ...(types === null ? {} : {typecheck: types})};
}
