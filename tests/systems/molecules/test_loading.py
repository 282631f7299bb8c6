from importlib import resources

import numpy as np
import openmm
import pytest

from systems.molecules import from_amber, from_pdb, from_xml
from systems.molecules.loading import forcefield_names

FIELDS = ("amber99sbildn.xml", "amber96_obc.xml")


@pytest.fixture
def pdb_text():
    return (resources.files("systems.molecules") / "ala2.pdb").read_text()


@pytest.fixture
def pdb(tmp_path, pdb_text):
    path = tmp_path / "mine.pdb"
    path.write_text(pdb_text)
    return path


def rewritten(pdb, change):
    lines = pdb.read_text().splitlines(keepends=True)
    pdb.write_text("".join(change(lines)))
    return pdb


def test_pdb_and_force_fields_make_a_system(pdb, alanine):
    mine = from_pdb(pdb, FIELDS)
    assert mine.content_hash == alanine.content_hash
    assert mine.name == "mine/amber99sbildn+amber96_obc"
    assert from_pdb(pdb, FIELDS, name="x", constraints="HBonds").n_constraints == 12


def test_a_crystal_record_is_ignored(pdb):
    record = "CRYST1   30.000   30.000   30.000  90.00  90.00  90.00 P 1           1\n"
    mine = from_pdb(rewritten(pdb, lambda lines: [record, *lines]), FIELDS)
    assert mine.topology.getPeriodicBoxVectors() is None


def test_a_missing_pdb(tmp_path):
    with pytest.raises(
        FileNotFoundError, match=r"pdb: expected a file, got no such file: .*no\.pdb"
    ):
        from_pdb(tmp_path / "no.pdb", FIELDS)


def test_an_empty_pdb(pdb):
    with pytest.raises(ValueError, match="expected ATOM or HETATM records, got none"):
        from_pdb(rewritten(pdb, lambda _: []), FIELDS)


@pytest.mark.parametrize("n_columns", [8, 25, 40, 53])
def test_a_pdb_cut_within_a_line(pdb, n_columns):
    cut = rewritten(pdb, lambda lines: [*lines[:10], lines[10][:n_columns]])
    with pytest.raises(ValueError, match=r"line 11 of .* the file is truncated"):
        from_pdb(cut, FIELDS)


def test_a_pdb_cut_between_lines(pdb):
    with pytest.raises(ValueError, match=r"residue ALA 2 .* heavy atoms are missing, mend"):
        from_pdb(rewritten(pdb, lambda lines: lines[:10]), FIELDS)


def test_a_pdb_of_garbage(pdb):
    with pytest.raises(ValueError, match=r"pdb: .* cannot be read"):
        from_pdb(
            rewritten(pdb, lambda lines: [lines[1].replace("-0", "zz"), lines[2][:30] + "x" * 40]),
            FIELDS,
        )


def test_missing_hydrogens_say_what_to_do(pdb):
    bare = rewritten(pdb, lambda lines: [x for x in lines if " HA  ALA" not in x])
    with pytest.raises(ValueError, match=r"residue ALA 2 of 9 atoms.*Modeller.*addHydrogens"):
        from_pdb(bare, FIELDS)


def test_a_residue_that_the_force_field_lacks(pdb):
    odd = rewritten(pdb, lambda lines: [x.replace(" ALA ", " XYZ ") for x in lines])
    with pytest.raises(ValueError, match=r"residue XYZ 2 .*the force field has no XYZ"):
        from_pdb(odd, FIELDS)


def test_an_unknown_force_field_suggests_a_near_one(pdb):
    with pytest.raises(ValueError, match=r"'amber99sbildn'; did you mean amber99sbildn\.xml"):
        from_pdb(pdb, ("amber99sbildn",))
    with pytest.raises(ValueError, match="expected a sequence of XML names"):
        from_pdb(pdb, "amber99sbildn.xml")
    assert "implicit/obc1.xml" in forcefield_names()


def test_a_force_field_that_is_not_one(pdb, tmp_path):
    odd = tmp_path / "odd.xml"
    odd.write_text("<ForceField><Atom")
    with pytest.raises(ValueError, match=r"forcefields: .*odd\.xml.* cannot be read"):
        from_pdb(pdb, (str(odd),))


def test_odd_options(pdb):
    with pytest.raises(ValueError, match="constraints: expected None, 'HBonds' or 'AllBonds'"):
        from_pdb(pdb, FIELDS, constraints="hbonds")


def test_a_serialised_system_and_its_pdb(pdb, tmp_path, alanine):
    path = tmp_path / "system.xml"
    path.write_text(openmm.XmlSerializer.serialize(alanine.system))
    mine = from_xml(path, pdb)
    assert mine.content_hash == alanine.content_hash
    assert mine.name == "system"


def test_xml_that_is_not_a_system(pdb, tmp_path):
    path = tmp_path / "system.xml"
    with pytest.raises(FileNotFoundError, match="system_xml"):
        from_xml(path, pdb)
    path.write_text("<System")
    with pytest.raises(ValueError, match="is not OpenMM XML"):
        from_xml(path, pdb)
    path.write_text(openmm.XmlSerializer.serialize(openmm.VerletIntegrator(0.001)))
    with pytest.raises(ValueError, match="expected a System, got a serialised VerletIntegrator"):
        from_xml(path, pdb)
    empty = openmm.System()
    empty.addParticle(1.0)
    path.write_text(openmm.XmlSerializer.serialize(empty))
    with pytest.raises(ValueError, match="topology: expected 1 atoms as in the system, got 22"):
        from_xml(path, pdb)


def test_restraints_to_a_place_are_refused(pdb, tmp_path, alanine):
    system = openmm.XmlSerializer.deserialize(openmm.XmlSerializer.serialize(alanine.system))
    restraint = openmm.CustomExternalForce("100 * (x^2 + y^2 + z^2)")
    restraint.addParticle(0)
    system.addForce(restraint)
    path = tmp_path / "system.xml"
    path.write_text(openmm.XmlSerializer.serialize(system))
    with pytest.raises(ValueError, match="whole molecule moves or turns.*remove position"):
        from_xml(path, pdb)


def section(flag, form, values, per_line):
    lines = ["".join(values[i : i + per_line]) for i in range(0, len(values), per_line)] or [""]
    return f"%FLAG {flag}\n%FORMAT({form})\n" + "\n".join(lines) + "\n"


def integers(flag, *values):
    return section(flag, "10I8", [f"{v:8d}" for v in values], 10)


def reals(flag, *values):
    return section(flag, "5E16.8", [f"{v:16.8E}" for v in values], 5)


def names(flag, *values):
    return section(flag, "20a4", [f"{v:4s}" for v in values], 20)


def hydrogen_chloride(*, box=0):
    """An AMBER topology of HCl: one bond of 1.274 angstrom, 100 kcal/mol/A^2, no charges."""
    pointers = [2, 2, 1] + [0] * 7 + [2, 1, 0, 0, 0, 1, 0, 0, 2] + [0] * 8 + [box, 2, 0, 0]
    return "".join(
        [
            "%VERSION  VERSION_STAMP = V0001.000  DATE = 01/01/01  00:00:00\n",
            names("TITLE", "HCl"),
            integers("POINTERS", *pointers),
            names("ATOM_NAME", "H", "CL"),
            reals("CHARGE", 0.0, 0.0),
            integers("ATOMIC_NUMBER", 1, 17),
            reals("MASS", 1.008, 35.45),
            integers("ATOM_TYPE_INDEX", 1, 2),
            integers("NUMBER_EXCLUDED_ATOMS", 1, 1),
            integers("NONBONDED_PARM_INDEX", 1, 2, 2, 3),
            names("RESIDUE_LABEL", "HCL"),
            integers("RESIDUE_POINTER", 1),
            reals("BOND_FORCE_CONSTANT", 100.0),
            reals("BOND_EQUIL_VALUE", 1.274),
            *(reals(f"{kind}_FORCE_CONSTANT") for kind in ("ANGLE", "DIHEDRAL")),
            reals("ANGLE_EQUIL_VALUE"),
            reals("DIHEDRAL_PERIODICITY"),
            reals("DIHEDRAL_PHASE"),
            reals("SCEE_SCALE_FACTOR"),
            reals("SCNB_SCALE_FACTOR"),
            reals("LENNARD_JONES_ACOEF", 1.0, 1.0, 1.0),
            reals("LENNARD_JONES_BCOEF", 1.0, 1.0, 1.0),
            integers("BONDS_INC_HYDROGEN", 0, 3, 1),
            integers("BONDS_WITHOUT_HYDROGEN"),
            integers("ANGLES_INC_HYDROGEN"),
            integers("ANGLES_WITHOUT_HYDROGEN"),
            integers("DIHEDRALS_INC_HYDROGEN"),
            integers("DIHEDRALS_WITHOUT_HYDROGEN"),
            integers("EXCLUDED_ATOMS_LIST", 2, 0),
            reals("HBOND_ACOEF"),
            reals("HBOND_BCOEF"),
            names("AMBER_ATOM_TYPE", "h", "cl"),
            reals("RADII", 1.2, 1.7),
            reals("SCREEN", 0.85, 0.8),
            reals("BOX_DIMENSIONS", 90.0, 30.0, 30.0, 30.0) if box else "",
        ]
    )


@pytest.fixture
def amber(tmp_path):
    prmtop, inpcrd = tmp_path / "hcl.prmtop", tmp_path / "hcl.inpcrd"
    prmtop.write_text(hydrogen_chloride())
    inpcrd.write_text("HCl\n    2\n" + "".join(f"{v:12.7f}" for v in (0, 0, 0, 1.3, 0, 0)) + "\n")
    return prmtop, inpcrd


def test_amber_files_make_a_system(amber):
    mine = from_amber(*amber)
    assert mine.name == "hcl/vacuum"
    assert mine.elements == ("H", "Cl")
    assert mine.bonds == ((0, 1),)
    assert np.allclose(mine.positions[1], [0.13, 0, 0])
    assert from_amber(*amber, constraints="HBonds").constraints == ((0, 1, pytest.approx(0.1274)),)
    solvated = from_amber(*amber, implicit_solvent="obc2")
    assert any("GB" in type(f).__name__ for f in solvated.system.getForces())


def test_amber_files_that_cannot_be_used(amber):
    prmtop, inpcrd = amber
    with pytest.raises(ValueError, match="implicit_solvent: expected None or one of hct, obc1"):
        from_amber(prmtop, inpcrd, implicit_solvent="obc3")
    with pytest.raises(FileNotFoundError, match="inpcrd"):
        from_amber(prmtop, inpcrd.with_name("no"))
    prmtop.write_text(hydrogen_chloride(box=1))
    with pytest.raises(ValueError, match=r"prmtop: .*got a periodic box"):
        from_amber(prmtop, inpcrd)
    prmtop.write_text(hydrogen_chloride()[:400])
    with pytest.raises(ValueError, match=r"prmtop: .* cannot be read"):
        from_amber(prmtop, inpcrd)
    prmtop.write_text(hydrogen_chloride())
    inpcrd.write_text("HCl\n    3\n" + "   1.0" * 3)
    with pytest.raises(ValueError, match=r"inpcrd: .* cannot be read"):
        from_amber(prmtop, inpcrd)
