import * as z from 'zod';

/** A script's path below `.hoody/exec`: relative, `/` between names, no empty, `.` or `..` segment. */
export const scriptPathSchema = z
  .string()
  .min(1)
  .max(1024)
  .refine(
    isPlainPath,
    'Write a relative path without empty, "." or ".." segments, for example "api/hello.ts".',
  );

function isPlainPath(path: string): boolean {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: control characters are what is refused here.
  if (/[\u0000-\u001f\u007f\\]/.test(path)) return false;
  return path
    .split('/')
    .every((segment) => segment !== '' && segment !== '.' && segment !== '..' && segment.length <= 255);
}
