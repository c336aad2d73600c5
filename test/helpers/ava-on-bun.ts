import v8 from 'node:v8';

// AVA asks for coverage when it ends; Bun does not implement it and would turn a green run red.
v8.takeCoverage = () => {};
