const firstLine = Buffer.from('version https://git-lfs.github.com/spec/');
const longestPointerBytes = 1024;

/** True for what Git LFS puts in the place of a file: git has the pointer, and the content is nowhere near. */
export function isLfsPointer(bytes: Uint8Array): boolean {
  return bytes.byteLength <= longestPointerBytes && firstLine.equals(bytes.subarray(0, firstLine.length));
}

/** For people, after the path of the file. */
export const lfsPointerRefusal =
  'is a pointer of Git LFS, not the file. Take it out of LFS (.gitattributes) and check in the file itself.';
