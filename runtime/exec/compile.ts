import {syntaxIssues} from '../platform/script-check.ts';
import {parseScript} from '../platform/script-parser.ts';
import {scriptWarnings} from '../platform/script-warnings.ts';
import type {CompiledScript} from './compiled-script.ts';
import {listMagicComments} from './magic-comments.ts';
import {commentWarnings, readScriptOptions} from './script-options.ts';
import {wrapScript} from './wrap.ts';

/** Parses a script and, where it is a body, wraps it. The path tells the language by its ending. */
export async function compileScript(path: string, text: string): Promise<CompiledScript> {
  const comments = listMagicComments(text);
  const parsed = await parseScript(path, text);
  const [issue = null] = syntaxIssues(text, parsed);
  const warnings = commentWarnings(comments);
  if (issue !== null) return {text: null, firstLineShift: 0, comments, issue, warnings};
  const wrapped = wrapScript(text, parsed, {keepsGlobals: readScriptOptions(comments).mode === 'worker'});
  return {
    text: wrapped?.text ?? null,
    firstLineShift: wrapped?.firstLineShift ?? 0,
    comments,
    issue: null,
    warnings: [...warnings, ...scriptWarnings(text, parsed)],
  };
}
