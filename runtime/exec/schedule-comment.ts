import type {Issue} from '../../schemas/issue.ts';
import {listMagicComments} from './magic-comments.ts';

/**
 * In a branch `.hoody/crontab` is the one place that says when: a script's `@schedule` is an issue, with the line to
 * put there instead. `path` begins with `.hoody/exec/`.
 */
export function scheduleIssues({path, text}: {path: string; text: string}): Issue[] {
  const target = path.replace(/^\.hoody\/exec\//, '').replace(/(?:(?:^|\/)index)?\.[jt]s$/, '');
  return listMagicComments(text)
    .filter(({name}) => name === 'schedule' || name === 'schedule-timeout')
    .map(({name, value, line, column}) => ({
      file: path,
      line,
      column,
      code: 'schedule_in_script',
      message:
        name === 'schedule'
          ? `In a branch .hoody/crontab says when. Remove this comment and write there: ${value === '' ? '0 0 * * *' : value} curl -fsS "$HOODY_EXEC_URL/${target}"`
          : 'In a branch .hoody/crontab says when. Remove this comment; `# branchtab: timeout=` above a line of the crontab limits its job.',
    }));
}
