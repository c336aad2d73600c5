import type {RepositoryStatus} from '../schemas/repository.ts';
import {type Paint, printable} from './terminal.ts';

/** What is wrong with whole repositories, one line each; empty when nothing is. */
export function repositoryNotices(repositories: readonly RepositoryStatus[], paint: Paint): string {
  return repositories
    .flatMap(({repository, error, held_deletions, read_only, waiting}) => [
      ...(read_only === null ? [] : [`${paint.red('read-only')} ${printable(read_only)}\n`]),
      ...(waiting === 0
        ? []
        : [
            `${paint.yellow(printable(repository))} ${waiting} preview(s) that were there before wait for a push or \`branchtab release <branch>\`.\n`,
          ]),
      ...(error === null ? [] : [`${paint.red(printable(repository))} ${printable(error.message)}\n`]),
      ...(held_deletions === null
        ? []
        : [
            `${paint.yellow(printable(repository))} ${held_deletions.missing} of ${held_deletions.previews} previews are gone at once; nothing is removed until \`branchtab reconcile --confirm-deletions\`.\n`,
          ]),
    ])
    .join('');
}
