DROP INDEX grounds.content_page, grounds.content_page_language, grounds.content_page_kind, grounds.content_page_month;

-- An item carries its author's product, so that a page can be narrowed by an index; it follows when the account moves.
ALTER TABLE grounds.content ADD COLUMN product text;
UPDATE grounds.content c SET product = a.product FROM grounds.account a WHERE a.id = c.account;

-- A page's ways in, each in the order of pages: all items, and those of one kind, product, language or month. The other
-- columns that a filter may name stand behind the id: they are compared in the index, before an item is fetched.
CREATE INDEX content_page ON grounds.content (id, kind, product, language, created_month)
    WHERE deleted_at IS NULL AND NOT reserved AND special_category = 'CLEAR' AND safety = 'CLEAR'
    AND media_deidentified AND (kind = 'AI_INTERACTION' OR audience = 'PUBLIC');
CREATE INDEX content_page_kind ON grounds.content (kind, id, product, language, created_month)
    WHERE deleted_at IS NULL AND NOT reserved AND special_category = 'CLEAR' AND safety = 'CLEAR'
    AND media_deidentified AND (kind = 'AI_INTERACTION' OR audience = 'PUBLIC');
CREATE INDEX content_page_product ON grounds.content (product, id, kind, language, created_month)
    WHERE deleted_at IS NULL AND NOT reserved AND special_category = 'CLEAR' AND safety = 'CLEAR'
    AND media_deidentified AND (kind = 'AI_INTERACTION' OR audience = 'PUBLIC');
CREATE INDEX content_page_language ON grounds.content (language, id, kind, product, created_month)
    WHERE deleted_at IS NULL AND NOT reserved AND special_category = 'CLEAR' AND safety = 'CLEAR'
    AND media_deidentified AND (kind = 'AI_INTERACTION' OR audience = 'PUBLIC');
CREATE INDEX content_page_month ON grounds.content (created_month, id, kind, product, language)
    WHERE deleted_at IS NULL AND NOT reserved AND special_category = 'CLEAR' AND safety = 'CLEAR'
    AND media_deidentified AND (kind = 'AI_INTERACTION' OR audience = 'PUBLIC');
