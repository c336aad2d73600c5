import {AppError} from '../../schemas/errors.ts';
import type {BulkUpdateComments, UpdateComments, UpdatedComments} from '../../schemas/exec-management.ts';
import {magicCommentProblem} from '../../schemas/magic-comments.ts';
import {editMagicComments} from './magic-comment-edit.ts';
import {isSecretComment, readMagicComments, redacted, redactMagicComments} from './magic-comments.ts';
import type {ScriptFiles} from './script-files.ts';

/** Changes comments of one script. Throws SCRIPT_NOT_FOUND, PATH_EXCLUDED, and INVALID_BODY for what is no script. */
export async function updateComments(
  files: ScriptFiles,
  {path, ...change}: UpdateComments,
): Promise<UpdatedComments> {
  const [updated] = await updateManyComments(files, {paths: [path], ...change});
  if (updated === undefined) throw new Error('an update of one script has one result');
  return updated;
}

/** The same for many scripts: all of them or, when one of them is refused, none. */
export async function updateManyComments(
  files: ScriptFiles,
  {paths, comments, dry_run: dryRun}: BulkUpdateComments,
): Promise<UpdatedComments[]> {
  const hidden = Object.entries(comments).find(
    ([name, value]) => isSecretComment(name) && value === redacted,
  );
  if (hidden !== undefined)
    throw new AppError(
      'INVALID_BODY',
      `@${hidden[0]} ${redacted} stands for a hidden value. Write the value out.`,
    );
  const edits = await Promise.all(
    [...new Set(paths)].map(async (path) => {
      if (!/\.[jt]s$/.test(path))
        throw new AppError(
          'INVALID_BODY',
          `${path} is no script: only .ts and .js files have magic comments.`,
        );
      const content = await files.source(path);
      return {path, content, edited: editMagicComments(content, comments)};
    }),
  );
  const changed = edits.filter(({content, edited}) => content !== edited);
  if (!dryRun && changed.length > 0)
    await files.writeAll(changed.map(({path, edited}) => ({path, content: edited})));
  return edits.map(({path, content, edited}) => {
    const now = readMagicComments(edited);
    return {
      path,
      updated: content !== edited && !dryRun,
      dryRun,
      magicComments: redactMagicComments(now),
      warnings: Object.entries(now).flatMap(([name, value]) => magicCommentProblem(name, value) ?? []),
    };
  });
}
