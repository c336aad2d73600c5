import type {Issue} from '../schemas/issue.ts';

/** An `@schedule` among the comments above a script's first code: in a branch the crontab is the one place that says when. */
export function scheduleIssue(file: string, text: string): Issue | null {
  const lines = text.split('\n');
  const index = lines.findIndex((line) => /^\s*\/\/\s*@schedule(?:\s|$)/.test(line) || isCode(line));
  const line = lines[index];
  if (line === undefined || isCode(line)) return null;
  const words = line.replace(/^\s*\/\/\s*@schedule/, '').trim();
  const route = file
    .replace(/^\.hoody\/exec\//, '')
    .replace(/\.[jt]s$/, '')
    .replace(/(?:^|\/)index$/, '');
  return {
    file,
    line: index + 1,
    column: line.indexOf('@') + 1,
    code: 'schedule_in_branch',
    message: `In a branch .hoody/crontab says when a script runs. Remove this comment and add the line: ${words === '' ? '0 0 * * *' : words} curl -fsS "$HOODY_EXEC_URL/${route}"`,
  };
}

function isCode(line: string): boolean {
  const trimmed = line.trim();
  return trimmed !== '' && !trimmed.startsWith('//') && !trimmed.startsWith('#!');
}
