import test from 'ava';
import {createBranchFilter} from '../../schemas/branch-glob.ts';

for (const {globs, yes, no} of [
  {globs: ['**'], yes: ['main', 'feature/a/b'], no: []},
  {globs: ['main', 'feature/*'], yes: ['main', 'feature/x'], no: ['feature/a/b', 'xmain', 'mainx']},
  {globs: ['feature/**'], yes: ['feature/a/b'], no: ['feature']},
  {globs: ['v?.x'], yes: ['v1.x'], no: ['v10.x', 'v1yx']},
  {globs: ['!wip/*'], yes: ['main', 'wip/a/b'], no: ['wip/a']},
  {globs: ['**', '!wip/**', 'wip/keep'], yes: ['main', 'wip/keep'], no: ['wip/other']},
  {globs: ['a.b', 'x(y)+'], yes: ['a.b', 'x(y)+'], no: ['axb', 'xyy']},
]) {
  test(`globs ${globs.join(',')}`, (t) => {
    const includes = createBranchFilter(globs);
    t.deepEqual(
      yes.filter((branch) => !includes(branch)),
      [],
    );
    t.deepEqual(no.filter(includes), []);
  });
}
