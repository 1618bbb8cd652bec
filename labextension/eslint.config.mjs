import js from '@eslint/js';
import tseslint from 'typescript-eslint';

export default tseslint.config({ ignores: ['lib/', 'node_modules/'] }, js.configs.recommended, {
  files: ['**/*.ts', '**/*.tsx', '**/*.mts'],
  extends: [tseslint.configs.strictTypeChecked, tseslint.configs.stylisticTypeChecked],
  languageOptions: {
    parserOptions: { project: './tsconfig.lint.json', tsconfigRootDir: import.meta.dirname }
  },
  rules: {
    curly: 'error',
    eqeqeq: 'error',
    '@typescript-eslint/consistent-type-imports': 'error',
    '@typescript-eslint/explicit-module-boundary-types': 'error',
    // Lumino's signals take a method and its `this` side by side: connect(this._onChange, this)
    '@typescript-eslint/unbound-method': 'off',
    // a number in a template is what this package is about
    '@typescript-eslint/restrict-template-expressions': ['error', { allowNumber: true }]
  }
});
