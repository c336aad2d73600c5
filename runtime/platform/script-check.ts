import type {Issue, TextIssue} from '../../schemas/issue.ts';
import {type ParsedScript, parseScript} from './script-parser.ts';

/** The parser's words for a `return` outside a function, which is how a script answers. */
const topLevelReturn = /'return' statement can only be used within a function body/;

/** Syntax problems of a script's text. Empty when it can be loaded; a script is never run to check it. */
export async function checkScript({path, text}: {path: string; text: string}): Promise<Issue[]> {
  const parsed = await parseScript(path, text);
  return syntaxIssues(text, parsed).map((issue) => ({file: path, ...issue}));
}

/** What keeps a parsed script from being loaded. */
export function syntaxIssues(text: string, {errors, program}: ParsedScript): TextIssue[] {
  const issues = errors
    .filter(({message}) => !topLevelReturn.test(message))
    .map(({message, start}) => ({
      ...positionOf(text, start),
      code: 'script_syntax',
      message: `${message.replace(/\.?$/, '.')} Correct the script's syntax.`,
    }));
  const mixed = errors.find(({message}) => topLevelReturn.test(message));
  const exported = program.body.find(({type}) => type.startsWith('Export'));
  if (issues.length === 0 && mixed !== undefined && exported !== undefined) {
    issues.push({
      ...positionOf(text, mixed.start),
      code: 'script_return_and_export',
      message:
        'A script either returns its answer or exports a handler. Remove the `return` or the `export`.',
    });
  }
  return issues;
}

/** Line and column from 1; columns count UTF-16 code units. */
export function positionOf(text: string, offset: number): {line: number; column: number} {
  const before = text.slice(0, offset);
  const lastNewline = before.lastIndexOf('\n');
  return {line: before.split('\n').length, column: offset - lastNewline};
}
